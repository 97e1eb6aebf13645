import type { Authorizer } from './authorizer.ts';

/** `--auth none`: sends requests without a credential. */
export const unsigned: Authorizer = {
  kind: 'none',
  scope: undefined,
  credentials: undefined,
  sendsTime: false,
  learnsFromRefusal: false,
  identityMayChange: false,
  principal: undefined,
  current: () => undefined,
  authorize({ target, contentType }) {
    return contentType === undefined
      ? { host: target.host }
      : { host: target.host, 'content-type': contentType };
  },
  refresh: async () => undefined,
  explain: () => undefined,
  inspect: async () => undefined,
  close() {},
};
