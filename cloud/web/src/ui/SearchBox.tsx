import { Button, Input, Label, SearchField } from 'react-aria-components';

type Props = { label: string; value: string; onChange: (value: string) => void; placeholder?: string };

export function SearchBox({ label, value, onChange, placeholder = '' }: Props) {
  return (
    <SearchField className="search" value={value} onChange={onChange}>
      <Label className="visually-hidden">{label}</Label>
      <Input className="input" placeholder={placeholder === '' ? label : placeholder} />
      {value !== '' && (
        <Button className="button quiet icon" aria-label="Clear the search">
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="m5 5 10 10M15 5 5 15" />
          </svg>
        </Button>
      )}
    </SearchField>
  );
}
