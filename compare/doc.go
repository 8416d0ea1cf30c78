// Package compare is the other archetype: orders and billing once more, with a
// table of users in the database, as the advocates of shadow users would build
// them. It is here to be measured and read beside the real services; nothing of
// the project depends on it. README.md says where it is better.
//
// # What is shared, and what differs
//
// Domain and transport are those of the real services (services/orders/domain,
// services/orders/transport and the same of billing), so the HTTP API is the
// same: paths, bodies, errors, idempotency, pages, versions. services/orders/api
// and services/billing/api are the clients of both. The store differs, and how a
// service learns of users:
//
//   - compare/users: the table `users` (its id is the token's sub), provisioning
//     from claims at the first request (JIT), the provider's webhooks,
//     reconciliation with the provider's list, tombstones.
//   - compare/orders: Run(ctx, Config, log), orders with a foreign key to users.
//   - compare/billing: Run(ctx, Config, log), invoices, ledger and statements.
//
// There is no revocation feed, no identity-relay, no directory and no
// participant. A banned user is a column that is read at the request.
//
// # Addresses and configuration
//
// Both read config.Common and config.Backends like every service (LISTEN_ADDRESS,
// AUTHN_CONFIG_FILE, NATS_URL, DATABASE_URL_FILE, MIGRATION_DATABASE_URL_FILE,
// TOKEN_EXCHANGE_URL, API_KEY_FILE, TOMBSTONE_KEY_FILE) and embed users.Config:
//
//	SHADOW_WEBHOOK_SECRETS_FILE  one secret a line; without it no delivery is accepted
//	SHADOW_WEBHOOK_MAX_AGE       45m, above the provider's last retry
//	SHADOW_IDP_URL               for reconciliation; without it there is none
//	SHADOW_IDP_CREDENTIAL_FILE   administrator {"email","password"}
//	SHADOW_RECONCILE_INTERVAL    24h
//	SHADOW_USER_CACHE            5s; how long a replica trusts a row it has read, 0: read it at each request
//	SHADOW_TOMBSTONES            true; false lets JIT bring a deleted user back
//
// and of their own ORDERS_BILLING_URL, ORDERS_INVOICE_RETRY_AFTER,
// ORDERS_INVOICE_RETRY_INTERVAL; BILLING_REFUND_DECIDER, BILLING_CHECK_PERMISSION_URL,
// BILLING_REFUND_LIMIT_MINOR, BILLING_STATEMENTS_INTERVAL, SHADOW_ONE_DATABASE.
// Names, audiences, client IDs, NATS users and durables are "orders" and
// "billing", so a broker serves one archetype at a time.
//
// # One database, or one each
//
// Where both are given the same DATABASE_URL_FILE, users, orders and invoices are
// one schema with one row a user, which is where this archetype is strongest;
// SHADOW_ONE_DATABASE=true then adds the foreign key from invoices to orders.
// With two databases each has a table of users of its own and is told of each
// change apart.
//
// # Routes beside the real ones
//
//	POST /v1/webhooks/auther   the provider's user.* webhooks, to each service (x-webhook-id, -timestamp, -origin, -signature);
//	                           204 after the commit, also for what was seen before or changes nothing
//
// It has none of GET /v1/identity/….
//
// # Names
//
//	GET /v1/users/{user_id}/orders   one user's orders with their name (permission order:list_any)
//	GET /v1/tenant/orders            the tenant's orders, each with user_id and customer: up to 100 users a page
//
// Both are a JOIN here, and a batch of the directory in services/orders; they
// differ in domain.Customers alone.
//
// # For the harness
//
// users.NewReconciler(pool, source, options).Once(ctx) reconciles once; source is
// an interface with users.NewAutherList(…) behind it. users.Sign(secret, timestamp,
// body) signs a delivery as Auther does.
package compare
