import type { FrameTotals, LedgerStream, SilenceReason } from '../../api/types';
import { formatCount, plural } from '../../lib/format';
import { countRuns, type FrameKind, runsOf } from './strip';

export const KIND_WORDS: Record<FrameKind, string> = {
  stored: 'Stored',
  pending: 'On the way',
  lost: 'Lost',
  quarantined: 'Quarantined',
  forked: 'Forked',
  unheard: 'Not heard of yet',
};

export const KIND_MEANING: Record<FrameKind, string> = {
  stored: 'safe in the cloud, each counted once',
  pending: 'safe on the device, not in the cloud yet',
  lost: 'gone, with the reason that the device gave',
  quarantined: 'arrived but could not be read; the bytes are kept and can be read again after a mend',
  forked: 'the same number came with other contents; both are kept',
  unheard: 'a number was given away and nothing has said yet what became of it',
};

const LOST_WORDS: Record<string, string> = {
  disk_full: 'the outbox on the device was full',
  damaged: 'the device’s storage was damaged',
  power: 'power was cut while the frame was open',
  killed: 'the program was killed while the frame was open',
  private: 'the driver had asked for privacy',
  wiped: 'the outbox was wiped',
};

export const lostWords = (reason: string): string => LOST_WORDS[reason] ?? reason.replaceAll('_', ' ');

export const SILENCE_WORDS: Record<SilenceReason, string> = {
  ignition_off: 'Ignition off',
  power: 'Power lost',
  killed: 'Program killed',
  no_network: 'No network',
  private: 'Private',
  disk_full: 'Disk full',
  updating: 'Updating',
  shutdown: 'Shut down',
  unknown: 'No reason given',
};

export const SILENCE_MEANING: Record<SilenceReason, string> = {
  ignition_off: 'The engine was off and the device slept.',
  power: 'The supply was cut, or the battery had run down.',
  killed: 'The program ended without a word: a crash, or a kill.',
  no_network: 'The device recorded on and sent it later.',
  private: 'The driver had asked not to be recorded.',
  disk_full: 'There was no room left to record.',
  updating: 'The device was taking a new version.',
  shutdown: 'The device was shut down in order.',
  unknown: 'The device has not said why yet.',
};

const none = (count: number) => (count === 0 ? 'none' : formatCount(count));

/** The ledger in a sentence or two, for someone who has never heard of frames. */
export function verdict(
  totals: FrameTotals,
  streams: readonly LedgerStream[],
): { title: string; text: string; isBad: boolean } {
  const { stored, pending, lost, quarantined } = totals;
  const total = stored + pending + lost + quarantined;
  const forks = streams.reduce((sum, stream) => sum + stream.forked.length, 0);
  if (total === 0)
    return { title: 'Nothing has been recorded yet', text: 'The device has not made a frame so far.', isBad: false };
  const made = `This device has made ${plural(total, 'frame')}`;
  const text =
    `${made}: ${none(stored)} stored here, ${none(pending)} on the way, ${none(lost)} lost` +
    `${quarantined === 0 ? '' : `, ${formatCount(quarantined)} in quarantine`}. Nothing is counted twice.`;
  if (forks > 0) return { title: `${plural(forks, 'number')} came with two contents`, text, isBad: true };
  if (lost > 0) return { title: `${plural(lost, 'frame')} lost, and we know why`, text, isBad: true };
  const unheard = streams.reduce((sum, stream) => sum + countRuns(runsOf(stream)).unheard, 0);
  if (unheard > 0)
    return { title: `Nothing lost so far, ${plural(unheard, 'number')} not heard of yet`, text, isBad: true };
  if (quarantined > 0) return { title: 'Nothing lost, but some frames could not be read', text, isBad: true };
  if (pending > 0) return { title: 'Nothing lost, the rest is on its way', text, isBad: false };
  return { title: 'Complete: every frame is here, once', text, isBad: false };
}
