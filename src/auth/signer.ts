// The next line chooses the signer: './sigv4.ts', or './smithy-sigv4.ts' for that of the AWS SDK.

import type { Signer } from './signing.ts';
import { signRequest } from './sigv4.ts';

/** Signs all requests of the proxy. docs/design.md compares the two implementations. */
export const signer: Signer = signRequest;
