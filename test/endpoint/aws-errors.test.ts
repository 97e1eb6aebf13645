import { describe, expect, it } from 'vitest';
import {
  judgeRefusal,
  messageIn,
  type RefusalKind,
  type RefusedAnswer,
  withoutRequestEchoes,
} from '../../src/endpoint/aws-errors.ts';

const json = (body: unknown, errorType = '', status = 403): RefusedAnswer => ({
  status,
  errorType,
  contentType: 'application/json',
  body: JSON.stringify(body),
});
const page = (body: string, contentType = 'text/html'): RefusedAnswer => ({
  status: 403,
  errorType: '',
  contentType,
  body,
});

/** Bodies that AWS services send. */
const BODIES: readonly (readonly [what: string, answer: RefusedAnswer, kind: RefusalKind])[] = [
  [
    'API Gateway, expired token',
    json({ message: 'The security token included in the request is expired' }, 'ExpiredTokenException'),
    'expired',
  ],
  [
    'STS XML, expired token',
    page(
      '<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error></ErrorResponse>',
      'text/xml',
    ),
    'expired',
  ],
  [
    'AWS MCP Server, expired session token',
    json(
      {
        jsonrpc: '2.0',
        id: null,
        error: {
          code: -32001,
          message: 'Your AWS session token has expired. Please refresh your credentials.',
        },
      },
      '',
      401,
    ),
    'expired',
  ],
  [
    'expired credentials',
    json({ __type: 'ExpiredTokenException', message: 'Credentials have expired' }),
    'expired',
  ],
  [
    'unknown token',
    json(
      { message: 'The security token included in the request is invalid.' },
      'UnrecognizedClientException',
    ),
    'invalid-token',
  ],
  [
    'unknown token, 400',
    json(
      {
        __type: 'com.amazon.coral.service#UnrecognizedClientException',
        message: 'The security token included in the request is invalid.',
      },
      '',
      400,
    ),
    'invalid-token',
  ],
  [
    'unknown key',
    page(
      '<Error><Code>InvalidClientTokenId</Code><Message>The security token included in the request is invalid.</Message></Error>',
      'text/xml',
    ),
    'invalid-token',
  ],
  [
    'unknown key of S3 kind',
    page(
      '<Error><Code>InvalidAccessKeyId</Code><Message>The AWS Access Key Id you provided does not exist in our records.</Message></Error>',
      'application/xml',
    ),
    'invalid-token',
  ],
  [
    'a clock behind',
    json(
      {
        message:
          'Signature expired: 20260102T030405Z is now earlier than 20260102T031000Z (20260102T031500Z - 5 min.)',
      },
      'InvalidSignatureException',
    ),
    'clock',
  ],
  [
    'a clock ahead',
    json(
      {
        message:
          'Signature not yet current: 20260102T040000Z is still later than 20260102T031000Z (20260102T030500Z + 5 min.)',
      },
      'InvalidSignatureException',
    ),
    'clock',
  ],
  [
    'a skewed clock',
    page(
      '<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>',
      'application/xml',
    ),
    'clock',
  ],
  [
    'a date of another day',
    json(
      {
        message:
          "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260101' != '20260102', from '20260102T000001Z'.",
      },
      'SignatureDoesNotMatch',
    ),
    'clock',
  ],
  [
    'a wrong secret',
    json(
      {
        message:
          'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
      },
      'InvalidSignatureException',
    ),
    'signature',
  ],
  [
    'a wrong service',
    json(
      { message: "Credential should be scoped to correct service: 'execute-api'. " },
      'InvalidSignatureException',
    ),
    'signature',
  ],
  [
    'a wrong region',
    json(
      { message: "Credential should be scoped to a valid region, not 'us-east-1'. " },
      'InvalidSignatureException',
    ),
    'signature',
  ],
  [
    'a wrong region, S3 kind',
    page(
      "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>",
      'application/xml',
    ),
    'signature',
  ],
  [
    'a header it cannot read',
    json(
      { message: "Authorization header requires 'Credential' parameter. Authorization=Bearer" },
      'IncompleteSignatureException',
    ),
    'signature',
  ],
  [
    'an IAM policy',
    json(
      {
        message:
          'User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: bedrock-agentcore:InvokeAgentRuntime on resource: arn:aws:...',
      },
      'AccessDeniedException',
    ),
    'denied',
  ],
  [
    'an organisation policy',
    json({
      Message:
        'User: arn:aws:iam::123456789012:user/u is not authorized to perform: execute-api:Invoke on resource: x with an explicit deny in a service control policy',
    }),
    'denied',
  ],
  [
    'a Function URL',
    json(
      {
        Message:
          'Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html',
      },
      'AccessDeniedException',
    ),
    'denied',
  ],
  [
    'VPC Lattice',
    {
      status: 403,
      errorType: '',
      contentType: 'text/plain',
      body: 'AccessDeniedException: User: anonymous is not authorized to perform: vpc-lattice-svcs:Invoke',
    },
    'denied',
  ],
  [
    'API Gateway, no such path',
    json({ message: 'Missing Authentication Token' }, 'MissingAuthenticationTokenException'),
    'unsigned',
  ],
  [
    'an AgentCore runtime with OAuth',
    json(
      {
        message:
          "Authorization method mismatch. The agent is configured for a different authorization method than what was used in your request. Check the agent's authorization configuration and ensure your request uses the matching method (OAuth or SigV4)",
      },
      'AccessDeniedException',
    ),
    'other-method',
  ],
  [
    'a WAF',
    page('<!DOCTYPE html><html><head><title>Request blocked</title></head><body>AccessDenied</body></html>'),
    'foreign-page',
  ],
  [
    'a corporate proxy that names no type',
    page('\n <HTML><title>Web filter</title></HTML>', ''),
    'foreign-page',
  ],
  ['something else', json({ message: 'Unauthorized' }, '', 401), 'other'],
  ['nothing', { status: 401, errorType: '', contentType: '', body: '' }, 'other'],
];

describe('the verdict of a refusal', () => {
  it.each(BODIES)('the verdict of a refusal is found in the body of %s', (_what, answer, kind) => {
    expect(judgeRefusal(answer).kind).toBe(kind);
  });

  it.each([
    ["Credential should be scoped to correct service: 'execute-api'. ", { service: 'execute-api' }],
    ['Credential should be scoped to correct service: bedrock-agentcore.', { service: 'bedrock-agentcore' }],
    ["Credential should be scoped to a valid region: 'eu-west-1'.", { region: 'eu-west-1' }],
    [
      "Credential should be scoped to a valid region: 'us-gov-west-1'. Credential should be scoped to correct service: 'lambda'. ",
      { service: 'lambda', region: 'us-gov-west-1' },
    ],
    [
      "SignatureDoesNotMatch: the region 'us-east-1' is wrong; expecting 'eu-west-1'",
      { region: 'eu-west-1' },
    ],
    ["Credential should be scoped to a valid region, not 'us-east-1'. ", undefined],
    ['The request signature we calculated does not match', undefined],
  ])('the verdict of a refusal includes the scope that the server expects: %s', (message, expected) => {
    expect(judgeRefusal(json({ message })).expected).toEqual(expected);
  });
});

describe('the message of an answer', () => {
  it.each([
    ['{"message":"a\\n  b"}', '', 'a b'],
    ['{"Message":"a"}', '', 'a'],
    ['{"error":{"message":"a"}}', '', 'a'],
    ['{"error":"a"}', '', 'a'],
    ['{"errorMessage":"a"}', '', 'a'],
    [
      '{"message":"a"}',
      'AccessDeniedException:http://internal.amazon.com/coral/',
      'AccessDeniedException: a',
    ],
    ['{"message":"AccessDeniedException: a"}', 'AccessDeniedException', 'AccessDeniedException: a'],
    ['<E><Message>a</Message></E>', '', 'a'],
    ['<html><title>Blocked</title><p>long</p></html>', '', 'Blocked'],
    ['<p>plain</p> <b>text</b>', '', 'plain text'],
    ['"text"', '', '"text"'],
    ['', '', ''],
  ])("the server's message is read from %s", (body, errorType, words) => {
    expect(messageIn({ body, errorType })).toBe(words);
  });

  it("a long server's message is cut", () => {
    expect(messageIn({ body: 'x'.repeat(1000), errorType: '' })).toBe(`${'x'.repeat(400)}...`);
  });

  it("the server's message never contains the session token or signature that a service repeats", () => {
    const mismatch =
      'The request signature we calculated does not match the signature you provided.\n\n' +
      "The Canonical String for this request should have been\n'POST\n/mcp\n\nhost:example.com\n" +
      "x-amz-security-token:SECRET/TOKEN+1==\n\nhost;x-amz-security-token\nabc'\n\n" +
      "The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20260102T030405Z\nabc'\n";
    const incomplete =
      "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. " +
      'Authorization=AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature=5ec2e7abcdef';
    const xml =
      '<Error><Code>SignatureDoesNotMatch</Code><Message>does not match</Message><SignatureProvided>5ec2e7abcdef</SignatureProvided>' +
      '<CanonicalRequest>POST\nx-amz-security-token:SECRET/TOKEN+1==\n</CanonicalRequest></Error>';
    expect(messageIn({ body: JSON.stringify({ message: mismatch }), errorType: '' })).toBe(
      'The request signature we calculated does not match the signature you provided.',
    );
    for (const text of [mismatch, JSON.stringify({ message: mismatch }), incomplete, xml]) {
      expect(withoutRequestEchoes(text)).not.toMatch(/SECRET|5ec2e7/);
    }
    expect(JSON.parse(withoutRequestEchoes(JSON.stringify({ message: mismatch })))).toMatchObject({
      message: expect.stringMatching(/^The request signature we calculated does not match/),
    });
    expect(withoutRequestEchoes(xml)).toMatch(/<Message>does not match<\/Message>/);
  });
});
