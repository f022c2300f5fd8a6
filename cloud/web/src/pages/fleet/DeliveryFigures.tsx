import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { summaryQuery } from '../../api/queries';
import { formatCount } from '../../lib/format';

function Figure({ count, word, mood }: { count: number | undefined; word: string; mood: 'plain' | 'kept' | 'broken' }) {
  return (
    <div className={`figure is-${mood}`}>
      <dt>{word}</dt>
      <dd>{count === undefined ? '–' : formatCount(count)}</dd>
    </div>
  );
}

const moodOf = (count: number | undefined) => (count === undefined ? 'plain' : count === 0 ? 'kept' : 'broken');

/** The promise in figures: what was stored, what is on the way, what was lost, what was counted twice. */
export function DeliveryFigures() {
  const { data } = useQuery(summaryQuery);
  const frames = data?.frames;
  return (
    <section className="promise" aria-label="Delivery of all devices">
      <dl>
        <Figure count={frames?.stored} word="Frames stored" mood="plain" />
        <Figure count={frames?.pending} word="On the way" mood="plain" />
        <Figure count={frames?.lost} word="Lost" mood={moodOf(frames?.lost)} />
        <Figure count={data?.doubled} word="Counted twice" mood={moodOf(data?.doubled)} />
        {frames !== undefined && frames.quarantined > 0 && (
          <Figure count={frames.quarantined} word="Quarantined" mood="broken" />
        )}
      </dl>
      <Link to="/check" className="promise-check">
        Check it yourself
      </Link>
    </section>
  );
}
