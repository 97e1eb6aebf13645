/** Abort reason of a call that needs no answer, because its client cancelled it or has gone. */
export class Abandoned extends Error {
  override readonly name = 'Abandoned';
}
