import type { Role } from '../../api/people';

/** What each role may do, from most to least. */
export const ROLE_MEANING: Readonly<Record<Role, string>> = {
  owner: 'Everything, API keys too.',
  manager: 'Everything but API keys and owners.',
  technician: 'Sees fleet, history and devices, changes vehicles, asks devices for old data.',
  dispatcher: 'Sees fleet, history and devices, watches vehicles live.',
  auditor: 'Sees everything including people and the audit log, changes nothing.',
  driver: 'Sees nothing of the fleet yet.',
};

/** Nobody hands out more than the own role; the server checks it again. */
export const rolesToGive = (mine: Role): Role[] =>
  (Object.keys(ROLE_MEANING) as Role[]).filter((role) => mine === 'owner' || role !== 'owner');
