import type { Signer } from './signing.ts';
import { signRequest } from './sigv4.ts'; // or './smithy-sigv4.ts', the signer of the AWS SDK

/** Signs all requests of the proxy. docs/design.md compares the two implementations. */
export const signer: Signer = signRequest;
