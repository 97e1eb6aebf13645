import type { HttpCaller, HttpExchange } from '../../core/pipeline/http-context.ts';
import type { HttpRefusal } from './admission.ts';
import type { VerifiedUser } from './users/token-verifier.ts';

/** Handles admitted requests. Neither method throws; both resolve when the response is complete. */
export interface HttpHandlers {
  post(text: string, exchange: HttpExchange): Promise<void>;
  forward(method: 'GET' | 'DELETE', exchange: HttpExchange): Promise<void>;
}

/** The sender of a request, as the listener has authenticated it. */
export interface Caller extends HttpCaller {
  /** Undefined for static tokens, and without any. */
  readonly user: VerifiedUser | undefined;
}

/** The handlers of a request, which counts until `release` is called once; or its refusal. */
export type Route = HttpRefusal | { readonly handlers: HttpHandlers; release(): void };
