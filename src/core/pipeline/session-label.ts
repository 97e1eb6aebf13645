import { hash } from 'node:crypto';

/** Enough to tell the sessions of a process apart. */
export const LABEL_CHARACTERS = 16;

let lastId = '';
let lastLabel = '';

/** A hash of a session id, which is a secret. The last one is kept: most calls share a session. */
export function sessionLabel(id: string): string {
  if (id !== lastId) {
    lastLabel = hash('sha256', id, 'base64url').slice(0, LABEL_CHARACTERS);
    lastId = id;
  }
  return lastLabel;
}
