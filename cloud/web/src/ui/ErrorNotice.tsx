import { Button } from 'react-aria-components';
import { ApiError } from '../api/client';

/** What went wrong in plain words, what the server said, and a way to try again. */
export function ErrorNotice({ error, what, onRetry }: { error: Error; what: string; onRetry?: () => void }) {
  const details = error instanceof ApiError ? (error.problem?.errors ?? []) : [];
  return (
    <div className="notice bad" role="alert">
      <p>
        <strong>{what}</strong> {error.message}
      </p>
      {details.length > 0 && (
        <ul>
          {details.map(({ path, expected }) => (
            <li key={path}>
              <code>{path}</code>: expected {expected}
            </li>
          ))}
        </ul>
      )}
      {onRetry !== undefined && (
        <Button className="button" onPress={onRetry}>
          Try again
        </Button>
      )}
    </div>
  );
}
