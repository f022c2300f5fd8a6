import { type FormEvent, useState } from 'react';
import {
  Button,
  Dialog,
  DialogTrigger,
  Heading,
  Popover,
  ToggleButton,
  ToggleButtonGroup,
} from 'react-aria-components';
import type { Span } from '../api/queries';
import { fixed, RANGE_NAMES, RANGES, type Range, type RangeName } from './range';

const pad = (value: number) => String(value).padStart(2, '0');

/** Local time as an <input type="datetime-local"> wants it. */
const toLocal = (ms: number): string => {
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}T${pad(d.getHours())}:${pad(d.getMinutes())}`;
};

function CustomForm({ span, onRange, close }: { span: Span; onRange: (range: Range) => void; close: () => void }) {
  const [from, setFrom] = useState(() => toLocal(span.fromMs));
  const [to, setTo] = useState(() => toLocal(span.toMs));
  const isWrong = !(Date.parse(to) > Date.parse(from));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isWrong) return;
    onRange(fixed(Date.parse(from), Date.parse(to)));
    close();
  };
  return (
    <form className="range-form" onSubmit={submit}>
      <Heading slot="title">Choose a range</Heading>
      <label>
        From
        <input className="input" type="datetime-local" value={from} onChange={(event) => setFrom(event.target.value)} />
      </label>
      <label>
        To
        <input
          className="input"
          type="datetime-local"
          value={to}
          onChange={(event) => setTo(event.target.value)}
          aria-invalid={isWrong}
          aria-describedby="range-wrong"
        />
      </label>
      <p id="range-wrong" className="field-error" aria-live="polite">
        {isWrong ? 'The end must be later than the start.' : ''}
      </p>
      <Button className="button primary" type="submit">
        Show this range
      </Button>
    </form>
  );
}

export function RangeControl({ range, span, onRange }: { range: Range; span: Span; onRange: (range: Range) => void }) {
  return (
    <div className="range-control">
      <ToggleButtonGroup
        className="segments"
        aria-label="Range"
        selectionMode="single"
        disallowEmptySelection={range.kind === 'last'}
        selectedKeys={range.kind === 'last' ? [range.name] : []}
        onSelectionChange={(keys) => {
          const [name] = keys;
          if (name !== undefined) onRange({ kind: 'last', name: name as RangeName });
        }}
      >
        {RANGE_NAMES.map((name) => (
          <ToggleButton key={name} id={name} className="segment" aria-label={RANGES[name].spoken}>
            {RANGES[name].label}
          </ToggleButton>
        ))}
      </ToggleButtonGroup>
      <DialogTrigger>
        <Button className={range.kind === 'fixed' ? 'button is-on' : 'button'}>Custom…</Button>
        <Popover className="popover">
          <Dialog className="dialog">
            {({ close }) => <CustomForm span={span} onRange={onRange} close={close} />}
          </Dialog>
        </Popover>
      </DialogTrigger>
    </div>
  );
}
