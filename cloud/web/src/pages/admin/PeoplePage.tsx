import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { remove, send } from '../../api/client';
import {
  type Invitation,
  invitationsQuery,
  type Me,
  membersQuery,
  meQuery,
  type NewInvitation,
  type Role,
} from '../../api/people';
import { useTitle } from '../../app/title';
import { ActionForm } from '../../ui/ActionForm';
import { Day } from '../../ui/Age';
import { Confirm } from '../../ui/Confirm';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Once } from '../../ui/Once';
import { Panel } from '../../ui/Panel';
import { ScrollTable } from '../../ui/ScrollTable';
import { Skeleton } from '../../ui/Skeleton';
import { MemberRow } from './MemberRow';
import { ROLE_MEANING, rolesToGive } from './roles';

function InvitePanel({ mine }: { mine: Role }) {
  const client = useQueryClient();
  const [role, setRole] = useState<Role>('dispatcher');
  const [made, setMade] = useState<NewInvitation | null>(null);
  const invite = async (form: FormData) => {
    setMade(await send<NewInvitation>('POST', '/invitations', { email: String(form.get('email')), role }));
    await client.invalidateQueries({ queryKey: invitationsQuery.queryKey });
  };
  return (
    <Panel title="Invite somebody">
      {made !== null && (
        <Once label={`An invitation for ${made.email}`} text={made.link} onDone={() => setMade(null)}>
          {made.is_sent ? 'It is on its way by mail. ' : 'This service sends no mail: give the link yourself. '}
          The link is shown this once, and is good once, until <Day iso={made.expires} />.
        </Once>
      )}
      <ActionForm label="Invite somebody" word="Invite" refusal="Nobody was invited." send={invite}>
        <div className="fields">
          <label className="field">
            E-mail address
            <input className="input" type="email" name="email" maxLength={254} autoComplete="off" required />
          </label>
          <label className="field">
            Role
            <select className="input" value={role} onChange={(event) => setRole(event.target.value as Role)}>
              {rolesToGive(mine).map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
            <span className="hint">{ROLE_MEANING[role]}</span>
          </label>
        </div>
      </ActionForm>
    </Panel>
  );
}

function InvitationRow({ invitation, mayManage }: { invitation: Invitation; mayManage: boolean }) {
  const client = useQueryClient();
  const withdraw = async () => {
    await remove(`/invitations/${invitation.id}`);
    await client.invalidateQueries({ queryKey: invitationsQuery.queryKey });
  };
  return (
    <tr>
      <th scope="row">{invitation.email}</th>
      <td>{invitation.role}</td>
      <td>
        <Day iso={invitation.expires} />
      </td>
      {mayManage && (
        <td>
          <Confirm
            word="Withdraw"
            label={`Withdraw the invitation of ${invitation.email}`}
            title={`Withdraw the invitation of ${invitation.email}?`}
            act={withdraw}
          >
            The link is good no more.
          </Confirm>
        </td>
      )}
    </tr>
  );
}

function Invitations({ mayManage }: { mayManage: boolean }) {
  const invitations = useQuery(invitationsQuery);
  if (invitations.isError)
    return (
      <ErrorNotice
        error={invitations.error}
        what="The invitations could not be read."
        onRetry={() => void invitations.refetch()}
      />
    );
  if (!invitations.isSuccess || invitations.data.items.length === 0) return null;
  return (
    <Panel title="Invited, not here yet">
      <ScrollTable label="Open invitations">
        <thead>
          <tr>
            <th scope="col">E-mail address</th>
            <th scope="col">Role</th>
            <th scope="col">Good until</th>
            {mayManage && <th scope="col">Change</th>}
          </tr>
        </thead>
        <tbody>
          {invitations.data.items.map((each) => (
            <InvitationRow key={each.id} invitation={each} mayManage={mayManage} />
          ))}
        </tbody>
      </ScrollTable>
    </Panel>
  );
}

function Members({ me, mayManage }: { me: Me; mayManage: boolean }) {
  const members = useQuery(membersQuery);
  if (members.isPending) return <Skeleton lines={5} label="Reading the members" />;
  if (members.isError)
    return (
      <ErrorNotice error={members.error} what="The members could not be read." onRetry={() => void members.refetch()} />
    );
  return (
    <ScrollTable label="Members">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Role</th>
          {mayManage && <th scope="col">Change</th>}
        </tr>
      </thead>
      <tbody>
        {members.data.items.map((member) => (
          <MemberRow key={member.id} member={member} me={me} mayManage={mayManage} />
        ))}
      </tbody>
    </ScrollTable>
  );
}

export function PeoplePage() {
  useTitle('People');
  const me = useQuery(meQuery);
  if (!me.isSuccess) return null;
  const mayManage = me.data.actions.includes('members.manage');
  return (
    <>
      <header className="head">
        <div>
          <h1>People</h1>
          <p className="muted">Who belongs to {me.data.tenant}, and what each of them may do.</p>
        </div>
      </header>
      <Members me={me.data} mayManage={mayManage} />
      <Invitations mayManage={mayManage} />
      {mayManage && <InvitePanel mine={me.data.role} />}
    </>
  );
}
