import type { AuditItem } from '../../api/people';

const KIND_WORDS: Readonly<Record<string, string>> = {
  user: 'Somebody',
  key: 'API key',
  nobody: 'Nobody logged in',
  operator: 'Operator of the service',
  service: 'The service itself',
};

/** Who did it, in words: a name where there is one still. */
export function actorWords({ kind, number, name }: AuditItem['actor']): string {
  const word = KIND_WORDS[kind] ?? kind;
  if (name !== null) return name;
  if (number === null) return word;
  return kind === 'user' ? `Former user ${number}` : `${word} ${number}`;
}

/** As the search takes it: one, or all of a kind. */
export const actorKey = ({ kind, number }: AuditItem['actor']): string =>
  number === null ? kind : `${kind}:${number}`;

/** "revoke_device" as people read it. */
export const operationWords = (operation: string): string => {
  const words = operation.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
};

/** "claim_code", "7" as people read it; keys of devices are long, and told apart by their beginning. */
export const objectWords = (kind: string, id: string): string =>
  `${kind.replaceAll('_', ' ')} ${id.length > 20 ? `${id.slice(0, 12)}…` : id}`.trim();

const said = (value: unknown): string =>
  value === null || value === undefined ? '–' : typeof value === 'string' ? value : JSON.stringify(value);

/** Field by field what there was and what there is, in the order of the log. */
export function differences(item: Pick<AuditItem, 'before' | 'after'>): { field: string; text: string }[] {
  const { before, after } = item;
  const fields = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return fields.map((field) => {
    const [was, is] = [said(before?.[field]), said(after?.[field])];
    const text = before === null ? is : after === null ? was : was === is ? is : `${was} → ${is}`;
    return { field: field.replaceAll('_', ' '), text };
  });
}
