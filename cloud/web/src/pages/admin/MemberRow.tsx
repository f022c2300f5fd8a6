import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { remove, send } from '../../api/client';
import { type Me, type Member, membersQuery, type Role } from '../../api/people';
import { Confirm } from '../../ui/Confirm';
import { rolesToGive } from './roles';

/** Saved by a button: a closed list changes with each arrow key, and a role holds at once. */
function RoleChoice({ member, mine }: { member: Member; mine: Role }) {
  const client = useQueryClient();
  const [role, setRole] = useState(member.role);
  const change = useMutation({
    mutationFn: () => send('PATCH', `/members/${member.id}`, { role }),
    onSuccess: () => client.invalidateQueries({ queryKey: membersQuery.queryKey }),
  });
  return (
    <div className="role-choice">
      <select
        className="input"
        aria-label={`Role of ${member.name}`}
        value={role}
        onChange={(event) => setRole(event.target.value as Role)}
      >
        {rolesToGive(mine).map((each) => (
          <option key={each}>{each}</option>
        ))}
      </select>
      {role !== member.role && (
        <Button className="button primary" isDisabled={change.isPending} onPress={() => change.mutate()}>
          Save
        </Button>
      )}
      <span role="status" className={change.isError ? 'is-bad' : 'muted'}>
        {change.isError && change.error.message}
        {change.isSuccess && role === member.role && 'Saved.'}
      </span>
    </div>
  );
}

/** Whom the caller may not change is shown plainly: oneself, and owners for those who are none. */
export function MemberRow({ member, me, mayManage }: { member: Member; me: Me; mayManage: boolean }) {
  const client = useQueryClient();
  const isFree = mayManage && member.id !== me.id && (me.role === 'owner' || member.role !== 'owner');
  const leave = async () => {
    await remove(`/members/${member.id}`);
    await client.invalidateQueries({ queryKey: membersQuery.queryKey });
  };
  return (
    <tr>
      <th scope="row">
        {member.name}
        {member.id === me.id && <span className="tag">you</span>}
        {member.is_disabled && <span className="tag is-bad">disabled</span>}
        <span className="under-name">{member.email}</span>
      </th>
      <td>{isFree ? <RoleChoice member={member} mine={me.role} /> : member.role}</td>
      {mayManage && (
        <td>
          {isFree && (
            <Confirm
              word="Remove"
              label={`Remove ${member.name}`}
              title={`Remove ${member.name} from ${me.tenant}?`}
              act={leave}
            >
              Wherever {member.name} is logged in for {me.tenant}, that ends now. What they did stays in the audit log.
            </Confirm>
          )}
        </td>
      )}
    </tr>
  );
}
