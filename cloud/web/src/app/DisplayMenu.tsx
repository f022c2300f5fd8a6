import { Button, Dialog, DialogTrigger, Heading, Label, Popover, Radio, RadioGroup } from 'react-aria-components';
import { setTheme, setUnits, type Theme, useTheme, useUnits } from '../lib/settings';
import type { UnitSystem } from '../lib/units';

export function DisplayMenu() {
  const theme = useTheme();
  const units = useUnits();
  return (
    <DialogTrigger>
      <Button className="button quiet">
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path d="M10 3a7 7 0 1 0 0 14Z" className="is-filled" />
          <circle cx="10" cy="10" r="7" />
        </svg>
        Display
      </Button>
      <Popover className="popover" placement="bottom end">
        <Dialog className="dialog">
          <Heading slot="title">Display</Heading>
          <RadioGroup className="radios" value={theme} onChange={(value) => setTheme(value as Theme)}>
            <Label>Colours</Label>
            <Radio value="system">As the system</Radio>
            <Radio value="light">Light</Radio>
            <Radio value="dark">Dark</Radio>
          </RadioGroup>
          <RadioGroup className="radios" value={units} onChange={(value) => setUnits(value as UnitSystem)}>
            <Label>Units</Label>
            <Radio value="metric">Metric: km/h, °C, kPa</Radio>
            <Radio value="imperial">Imperial: mph, °F, psi</Radio>
          </RadioGroup>
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}
