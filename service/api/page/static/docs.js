// Shows the OpenAPI document. Requests go to where the page is from: a proxy may have put a prefix before its path.
const { SwaggerUIBundle } = window;
const spec = await (await fetch("openapi.json")).json();
spec.servers = [{ url: new URL(".", location.href).href.replace(/\/$/u, "") }];
SwaggerUIBundle({
  spec,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: "none", // asks no public server
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
