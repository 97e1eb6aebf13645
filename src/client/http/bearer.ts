/** The token in `Authorization: Bearer`, or "". */
export const readBearer = (authorization: string | undefined): string =>
  /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
