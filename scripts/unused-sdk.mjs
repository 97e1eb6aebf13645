// Takes the place of the MCP SDK's schema validator and of its OAuth library in the bundle: no
// command uses them, and they are 300 kB. scripts/build.mjs puts it there.
export const CORS_IS_POSSIBLE = false;

export class DefaultJsonSchemaValidator {
  getValidator() {
    throw new TypeError('the bundle contains no JSON Schema validator');
  }
}
