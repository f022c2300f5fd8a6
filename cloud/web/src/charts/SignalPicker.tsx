import { useMemo, useState } from 'react';
import { Button, ComboBox, Input, Label, ListBox, ListBoxItem, Popover, Text } from 'react-aria-components';
import type { CatalogueSignal } from '../api/types';
import { useUnits } from '../lib/settings';
import { unitLabel } from '../lib/units';

type Props = { signals: readonly CatalogueSignal[]; chosen: readonly string[]; onAdd: (name: string) => void };

/** Words in any order, found in the text or in the name. */
export const hasWords = (hay: string, query: string): boolean =>
  query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.toLowerCase().includes(word));

export function SignalPicker({ signals, chosen, onAdd }: Props) {
  // A fresh box after each choice: empty, closed, and with the focus where it was.
  const [round, setRound] = useState(0);
  const units = useUnits();
  const items = useMemo(() => signals.filter((signal) => !chosen.includes(signal.name)), [signals, chosen]);
  return (
    <ComboBox
      key={round}
      className="picker"
      defaultItems={items}
      defaultFilter={hasWords}
      onSelectionChange={(key) => {
        if (key === null) return;
        setRound(round + 1);
        onAdd(String(key));
      }}
      autoFocus={round > 0}
      allowsEmptyCollection
    >
      <Label>Add a signal</Label>
      <div className="picker-field">
        <Input className="input" placeholder="Search, for example coolant" />
        <Button className="button quiet icon" aria-label="Show signals">
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="m5 8 5 5 5-5" />
          </svg>
        </Button>
      </div>
      <Popover className="popover picker-list" offset={4}>
        <ListBox renderEmptyState={() => <p className="picker-none">No signal has these words.</p>}>
          {(signal: CatalogueSignal) => (
            <ListBoxItem id={signal.name} textValue={`${signal.text} ${signal.name}`} className="option">
              <Text slot="label">{signal.text}</Text>
              <Text slot="description">
                {signal.name}
                {unitLabel(signal.unit, units) === '' ? '' : ` · ${unitLabel(signal.unit, units)}`}
              </Text>
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </ComboBox>
  );
}
