import { useInfiniteQuery } from '@tanstack/react-query';
import { Button } from 'react-aria-components';
import { eventsQuery } from '../../api/queries';
import { formatCount, formatDateTime } from '../../lib/format';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Panel } from '../../ui/Panel';
import { Skeleton } from '../../ui/Skeleton';
import { dataWords, kindWords } from './eventWords';

export function Events({ id }: { id: number }) {
  const events = useInfiniteQuery(eventsQuery(id));
  const items = events.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Panel title="Events">
      {events.isError && (
        <ErrorNotice error={events.error} what="The events could not be read." onRetry={() => void events.refetch()} />
      )}
      {events.isPending && <Skeleton lines={4} label="Reading the events" />}
      {events.data !== undefined && items.length === 0 && <p className="empty">Nothing has happened yet.</p>}
      {items.length > 0 && (
        <ol className="plain events">
          {items.map((event) => (
            <li key={`${event.ts} ${event.kind} ${event.seq} ${dataWords(event)}`}>
              <time dateTime={event.ts}>{formatDateTime(Date.parse(event.ts))}</time>
              <div>
                <p className="event-kind">{kindWords(event.kind)}</p>
                <p className="muted">
                  {dataWords(event) === '' ? '' : `${dataWords(event)} · `}frame {formatCount(event.seq)}
                </p>
              </div>
            </li>
          ))}
        </ol>
      )}
      {events.hasNextPage && (
        <Button className="button" onPress={() => void events.fetchNextPage()} isDisabled={events.isFetchingNextPage}>
          Show older events
        </Button>
      )}
    </Panel>
  );
}
