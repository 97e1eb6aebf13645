import { removeMember } from './json-spans.ts';
import { type Id, idText, type JsonObject, type Request, type Response } from './message.ts';

/**
 * One answer for several requests: each gets it under its own id, as it spelled that, and the
 * answer is not read again. The result is the same object in all of them, so that whoever edits
 * results knows the one that he has edited already.
 */
export class SharedResponse {
  readonly #first: Response;
  /**
   * Everything behind the id, which comes first: where it stands is then known without reading a
   * long result.
   */
  #rest: string | undefined;

  constructor(first: Response) {
    this.#first = first;
  }

  /** The answer for a request, or for whoever the other answer is meant for. */
  for(asked: Request | (Response & { readonly id: Id })): Response {
    this.#rest ??= removeMember(this.#first.text, 'id').trimStart().slice(1);
    const json: JsonObject = { ...this.#first.json, id: asked.id };
    return { ...this.#first, id: asked.id, json, text: `{"id":${idText(asked)},${this.#rest}` };
  }
}
