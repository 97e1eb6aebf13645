// Takes the place of the MCP SDK's schema validator in the bundle: nothing uses it, and it is
// 200 kB. scripts/build.mjs puts it there.
export const CORS_IS_POSSIBLE = false;

export class DefaultJsonSchemaValidator {
  getValidator() {
    throw new TypeError('the bundle contains no JSON Schema validator');
  }
}
