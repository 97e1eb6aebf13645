import type { Events } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import type { Authorizer } from './authorizer.ts';
import type { AutoAuthorizerOptions } from './auto/auto-authorizer.ts';
import type { DerivedKind } from './auto/derive-kind.ts';
import type { BearerValues } from './bearer/options.ts';
import type { CredentialProvider } from './credentials/caching-provider.ts';
import type { AuthKind } from './kinds.ts';
import { LazyAuthorizer } from './lazy-authorizer.ts';
import type { SigningScope } from './signing.ts';
import { OptionalSigV4Authorizer, SigV4Authorizer } from './sigv4-authorizer.ts';
import { unsigned } from './unsigned.ts';

export interface AuthorizerChoice {
  readonly kind: AuthKind;
  /** Undefined where nothing is signed. */
  readonly scope: SigningScope | undefined;
  /** `--skip-auth`. */
  readonly credentialsOptional: boolean;
  /** Creates the provider of the profile's AWS credentials; called at most once. */
  readonly createCredentials: () => CredentialProvider;
  /** Called for each request that `--skip-auth` sends unsigned. */
  readonly onUnsigned: () => void;
  /** Called when the credential belongs to another identity than the one before. */
  readonly onIdentityChange: () => void;
  readonly bearer: BearerValues;
  readonly profile: string;
  readonly env: NodeJS.ProcessEnv;
  /** The variables that an option may name: those of `--env-file` too. */
  readonly variables: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly events: Events;
  readonly auto: Pick<AutoAuthorizerOptions, 'shared' | 'settings' | 'host'>;
  /** Imports the implementation of `--auth oauth`. */
  readonly loadOAuth: () => Promise<Authorizer>;
}

/** Creates the authorizer of one profile for the value of `--auth`. Loads nothing. */
export function chooseAuthorizer(choice: AuthorizerChoice): Authorizer {
  const { kind, scope } = choice;
  switch (kind) {
    case 'sigv4':
    case 'sigv4a': {
      if (!scope) return unsigned;
      const signing = { kind, scope, credentials: choice.createCredentials() };
      return choice.credentialsOptional
        ? new OptionalSigV4Authorizer(signing, choice.onUnsigned)
        : new SigV4Authorizer(signing);
    }
    case 'oauth':
      return new LazyAuthorizer({ kind, load: choice.loadOAuth, learnsFromRefusal: true });
    case 'bearer':
      return new LazyAuthorizer({
        kind,
        load: async () => {
          const { createBearerAuthorizer } = await import('./bearer/bearer-authorizer.ts');
          return createBearerAuthorizer(choice.bearer, choice);
        },
      });
    case 'auto':
      return new LazyAuthorizer({
        kind: undefined,
        learnsFromRefusal: true,
        load: async () => {
          const { AutoAuthorizer } = await import('./auto/auto-authorizer.ts');
          const create = (derived: DerivedKind): Authorizer => chooseAuthorizer({ ...choice, kind: derived });
          return new AutoAuthorizer({ ...choice.auto, ...choice, create });
        },
      });
    default:
      return unsigned;
  }
}
