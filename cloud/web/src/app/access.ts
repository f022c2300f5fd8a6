import { useQuery } from '@tanstack/react-query';
import { meQuery } from '../api/people';

/** The parts of the administration area, in their order, each with the action that opens it. */
export const ADMIN_PARTS = [
  { to: '/admin/people', word: 'People', action: 'members.read' },
  { to: '/admin/claims', word: 'Claim codes', action: 'devices.manage' },
  { to: '/admin/keys', word: 'API keys', action: 'keys.manage' },
  { to: '/admin/audit', word: 'Audit log', action: 'audit.read' },
] as const;

/**
 * Whether the one who is logged in may do an action; null while that is not known.
 * Pages show less by it, the server is what refuses.
 */
export function useMay(): (action: string) => boolean | null {
  const me = useQuery(meQuery);
  return (action) => (me.data === undefined ? null : me.data.actions.includes(action));
}
