import type { ReactNode } from 'react';
import { Button } from 'react-aria-components';

export type Sort<K extends string> = { key: K; isDown: boolean };

type Props<K extends string> = {
  name: K;
  sort: Sort<K>;
  onSort: (sort: Sort<K>) => void;
  className?: string;
  children: ReactNode;
};

/** A column's head that sorts by it; pressed again it turns the order. */
export function SortHeader<K extends string>({ name, sort, onSort, className, children }: Props<K>) {
  const isOn = sort.key === name;
  const order = !isOn ? 'none' : sort.isDown ? 'descending' : 'ascending';
  return (
    <th scope="col" aria-sort={order} className={className}>
      <Button className="sort" onPress={() => onSort({ key: name, isDown: isOn && !sort.isDown })}>
        {children}
        <svg viewBox="0 0 12 12" aria-hidden="true" className={`sort-arrow ${order}`}>
          <path d="M6 2v8M2.5 5.5 6 2l3.5 3.5" />
        </svg>
      </Button>
    </th>
  );
}
