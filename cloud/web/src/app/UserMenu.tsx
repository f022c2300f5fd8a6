import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button, Dialog, DialogTrigger, Heading, Popover } from 'react-aria-components';
import { type Me, meQuery } from '../api/people';
import { logOut } from '../api/session';

function Menu({ me, close }: { me: Me; close: () => void }) {
  if (me.is_demo)
    return (
      <>
        <Heading slot="title">{me.name}</Heading>
        <p className="user-facts">
          You look at a demo. It logs in by itself, and everybody on this machine is the same user.
        </p>
      </>
    );
  return (
    <>
      <Heading slot="title">{me.name}</Heading>
      <p className="user-facts">
        {me.email}
        <br />
        {me.role} of {me.tenant}
      </p>
      <p className="user-ways">
        <Link to="/account" className="button" onClick={close}>
          Your account
        </Link>
        <Button className="button" onPress={() => void logOut()}>
          Log out
        </Button>
      </p>
    </>
  );
}

/** Who is logged in. A demo says so plainly. */
export function UserMenu() {
  const me = useQuery(meQuery);
  if (!me.isSuccess) return null;
  return (
    <DialogTrigger>
      {me.data.is_demo ? (
        <Button className="button is-demo">Demo</Button>
      ) : (
        <Button className="button quiet" aria-label={me.data.name}>
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <circle cx="10" cy="7" r="3" />
            <path d="M4 17a6 6 0 0 1 12 0" />
          </svg>
          <span className="user-name">{me.data.name}</span>
        </Button>
      )}
      <Popover className="popover" placement="bottom end">
        <Dialog className="dialog">{({ close }) => <Menu me={me.data} close={close} />}</Dialog>
      </Popover>
    </DialogTrigger>
  );
}
