package api

// IntrospectScope lets a client introspect every token, not only those for it.
// It is among the client's scopes at the audience "token-exchange".
const IntrospectScope = "token-exchange:introspect"
