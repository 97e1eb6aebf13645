import { removeMember } from './json-spans.ts';
import { type Id, idText, type JsonObject, type Request, type Response } from './message.ts';

/**
 * One response for several requests, each under its own id, without parsing again. All copies share
 * the same result object, so that `ListEdits` recognizes a list it has edited.
 */
export class SharedResponse {
  readonly #first: Response;
  /** The text after the id, which comes first and so is found without reading a long result. */
  #rest: string | undefined;

  constructor(first: Response) {
    this.#first = first;
  }

  /** The response under the id of a request, or of another response. */
  for(asked: Request | (Response & { readonly id: Id })): Response {
    this.#rest ??= removeMember(this.#first.text, 'id').trimStart().slice(1);
    const json: JsonObject = { ...this.#first.json, id: asked.id };
    return { ...this.#first, id: asked.id, json, text: `{"id":${idText(asked)},${this.#rest}` };
  }
}
