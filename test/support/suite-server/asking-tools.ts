import {
  CLIENT_CAPABILITIES_META_KEY,
  createRequestStateCodec,
  fromJsonSchema,
  type InputRequest,
  inputRequired,
  type McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';

const said = (text: string) => ({ content: [{ type: 'text' as const, text }] });

type Properties = Parameters<typeof inputRequired.elicit>[0]['requestedSchema'] extends infer Schema
  ? Extract<Schema, { properties: unknown }>['properties']
  : never;

const form = (message: string, properties: Properties, required: string[]): InputRequest =>
  inputRequired.elicit({ message, requestedSchema: { type: 'object', properties, required } });

const sample = (text: string): InputRequest =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text } }],
    maxTokens: 100,
  });

/** The capabilities that the client states in each request. */
function capabilitiesIn(envelope: Readonly<Record<string, unknown>>): Partial<Record<string, unknown>> {
  const declared = envelope[CLIENT_CAPABILITIES_META_KEY];
  return typeof declared === 'object' && declared !== null ? { ...declared } : {};
}

const NAME: Properties = { name: { type: 'string' } };

const DEFAULTS: Properties = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
};

const OPTIONS = ['option1', 'option2', 'option3'];
const titled = (word: string) =>
  ['First', 'Second', 'Third'].map((nth, at) => ({ const: `value${at + 1}`, title: `${nth} ${word}` }));
const CHOICES: Properties = {
  untitledSingle: { type: 'string', enum: OPTIONS },
  titledSingle: { type: 'string', oneOf: titled('Option') },
  legacyEnum: {
    type: 'string',
    enum: ['opt1', 'opt2', 'opt3'],
    enumNames: ['Option One', 'Option Two', 'Option Three'],
  },
  untitledMulti: { type: 'array', items: { type: 'string', enum: OPTIONS } },
  titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
};

/**
 * Seals what a round hands to the next one. A key of each server's own is enough: states do not
 * outlive it.
 */
export const states = createRequestStateCodec<number>({
  key: 'a key that only this test server has, 32 bytes',
});

const textArgument = (name: string) =>
  fromJsonSchema<Record<string, string>>({ type: 'object', properties: { [name]: { type: 'string' } } });

/** Tools of the session revisions: they ask the client in the middle of the call. */
function addMidCallTools(server: McpServer): void {
  const elicits = (name: string, message: string, properties: Properties, required: string[]): void => {
    server.registerTool(name, { description: 'Asks the user' }, async ({ mcpReq }) => {
      const params = {
        mode: 'form' as const,
        message,
        requestedSchema: { type: 'object' as const, properties, required },
      };
      const { action, content } = await mcpReq.send({ method: 'elicitation/create', params });
      return said(`Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`);
    });
  };
  elicits('test_elicitation_sep1034_defaults', 'Are these right?', DEFAULTS, []);
  elicits('test_elicitation_sep1330_enums', 'Which ones?', CHOICES, []);
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the user', inputSchema: textArgument('message') },
    async ({ message = '' }, { mcpReq }) => {
      const requestedSchema = {
        type: 'object' as const,
        properties: { username: { type: 'string' as const }, email: { type: 'string' as const } },
        required: ['username', 'email'],
      };
      const params = { mode: 'form' as const, message, requestedSchema };
      const { action, content } = await mcpReq.send({ method: 'elicitation/create', params });
      return said(`User response: action=${action}, content=${JSON.stringify(content ?? {})}`);
    },
  );
  server.registerTool(
    'test_sampling',
    { description: "Asks the client's model", inputSchema: textArgument('prompt') },
    async ({ prompt = '' }, { mcpReq }) => {
      const messages = [{ role: 'user' as const, content: { type: 'text' as const, text: prompt } }];
      const { content } = await mcpReq.send({
        method: 'sampling/createMessage',
        params: { messages, maxTokens: 100 },
      });
      const parts = Array.isArray(content) ? content : [content];
      return said(`LLM response: ${parts.map((part) => (part.type === 'text' ? part.text : '')).join('')}`);
    },
  );
}

/** Tools of revision 2026-07-28: they answer with what they need, and are called again. */
function addRoundTripTools(server: McpServer): void {
  const asks = (
    name: string,
    requests: (ctx: ServerContext) => Record<string, InputRequest>,
    { sealed = false, done = 'done' }: { sealed?: boolean; done?: string } = {},
  ): void => {
    server.registerTool(name, { description: 'Needs more before it answers' }, async (ctx) => {
      const inputRequests = requests(ctx);
      const given = ctx.mcpReq.inputResponses ?? {};
      const complete = Object.keys(inputRequests).every((key) => Object.hasOwn(given, key));
      if (complete && (!sealed || ctx.mcpReq.requestState<number>() === 1)) return said(done);
      return inputRequired({ inputRequests, ...(sealed ? { requestState: await states.mint(1) } : {}) });
    });
  };
  const name = form('What is your name?', NAME, ['name']);
  const roots = inputRequired.listRoots();
  asks('test_input_required_result_elicitation', () => ({ user_name: name }));
  asks('test_input_required_result_sampling', () => ({
    capital_question: sample('What is the capital of France?'),
  }));
  asks('test_input_required_result_list_roots', () => ({ client_roots: roots }));
  const confirm = { confirm: form('Please confirm', { ok: { type: 'boolean' } }, ['ok']) };
  asks('test_input_required_result_request_state', () => confirm, { sealed: true, done: 'state-ok' });
  asks('test_input_required_result_tampered_state', () => confirm, { sealed: true });
  asks(
    'test_input_required_result_multiple_inputs',
    () => ({ user_name: name, greeting: sample('Generate a greeting'), client_roots: roots }),
    { sealed: true },
  );
  asks('test_input_required_result_capabilities', ({ mcpReq }) => {
    const can = capabilitiesIn(mcpReq.envelope ?? {});
    return {
      ...(can.sampling ? { greeting: sample('Generate a greeting') } : {}),
      ...(can.elicitation ? { user_name: name } : {}),
    };
  });
  asks('test_missing_capability', () => ({ greeting: sample('Only with a model') }));
  server.registerTool(
    'test_streaming_elicitation',
    { description: 'Streams, then asks' },
    async ({ mcpReq }) => {
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken: 0, progress: 1 } });
      return inputRequired({ inputRequests: { user_name: name } });
    },
  );
  server.registerTool(
    'test_input_required_result_multi_round',
    { description: 'Asks twice' },
    async ({ mcpReq }) => {
      const round = mcpReq.requestState<number>() ?? 0;
      const given = mcpReq.inputResponses ?? {};
      if (round === 2 && given.step2 !== undefined) return said('two rounds done');
      const second = round === 1 && given.step1 !== undefined;
      const question = second
        ? { step2: form('Step 2: your favourite colour?', { color: { type: 'string' } }, ['color']) }
        : { step1: form('Step 1: your name?', NAME, ['name']) };
      return inputRequired({ inputRequests: question, requestState: await states.mint(second ? 2 : 1) });
    },
  );
}

/** The tools that need something from the client, in the way of either era. */
export function addAskingTools(server: McpServer): void {
  addMidCallTools(server);
  addRoundTripTools(server);
}
