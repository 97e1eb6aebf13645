import { describe, expect, it } from 'vitest';
import { pkceProblem } from '../../../src/auth/oauth/pkce.ts';

const S256 = ['plain', 'S256'];

describe('the PKCE methods in the metadata of an authorization server', () => {
  it.each([
    ['https://auth.example.com', S256],
    ['https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123', undefined],
    ['https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbC123', undefined],
    ['https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0', undefined],
    ['https://login.microsoftonline.us/contoso.onmicrosoft.us/v2.0', undefined],
  ])('the metadata of %s with the PKCE methods %s is accepted', (issuer, methods) => {
    expect(pkceProblem({ issuer, code_challenge_methods_supported: methods })).toBeUndefined();
  });

  it.each([
    ['https://auth.example.com', undefined],
    ['https://auth.example.com', []],
    ['https://auth.example.com', ['plain']],
    ['https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123', ['plain']],
    ['http://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123', undefined],
    ['https://cognito-idp.eu-west-1.amazonaws.com.example.com/eu-west-1_AbC123', undefined],
    ['https://example.com/cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123', undefined],
    ['https://cognito-idp.x@example.com/.amazonaws.com/eu-west-1_AbC123', undefined],
    ['https://login.microsoftonline.com.example.com/tenant/v2.0', undefined],
    ['https://login.microsoftonline.com/tenant/v2.0/other', undefined],
  ])('the metadata of %s with the PKCE methods %s is refused with what to do', (issuer, methods) => {
    const problem = pkceProblem({ issuer, code_challenge_methods_supported: methods });
    expect(problem).toMatch(/PKCE method.*operators have to/);
  });

  it('a server without metadata is accepted, as revision 2025-03-26 has it', () => {
    expect(pkceProblem(undefined)).toBeUndefined();
  });
});
