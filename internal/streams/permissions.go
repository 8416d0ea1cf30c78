package streams

import (
	"slices"

	"github.com/shadowless/shadowless/pkg/identity/directory"
)

// Operator is the NATS user of `shadowless` itself.
const Operator = "operator"

// Users lists every NATS user, the operator last.
var Users = []string{"orders", "billing", "token-exchange", "identity-relay", "console", Operator}

// Permissions is what one user may publish to and subscribe to.
type Permissions struct {
	Publish   []string
	Subscribe []string
}

// InboxPrefix is where a user receives replies. Each has its own, so that none
// can read what another was answered.
func InboxPrefix(user string) string { return "_INBOX_" + user }

// published are the subjects that carry a service's own facts.
var published = map[string][]string{
	"orders":         {"orders.v1.>", "receipts.v1.orders", "receipts.v1.orders.rekeyed"},
	"billing":        {"billing.v1.>", "receipts.v1.billing", "receipts.v1.billing.rekeyed"},
	"token-exchange": {"receipts.v1.token-exchange", "receipts.v1.token-exchange.rekeyed"},
	"identity-relay": {"identity.v1.>"},
	"console":        {"receipts.v1.console", "receipts.v1.console.rekeyed"},
}

// listeners hear the identity events as they are published, for what they keep of
// users in memory. What they miss they notice and ask for.
var listeners = map[string][]string{"orders": directory.Subjects}

// revokers may write any entry of the revocation bucket, the others only their
// own heartbeat.
var revokers = []string{"identity-relay", "token-exchange"}

// PermissionsOf derives a user's permissions from the declarations.
func PermissionsOf(user string) Permissions {
	if user == Operator {
		return Permissions{Publish: []string{">"}, Subscribe: []string{">"}}
	}
	publish := slices.Clone(published[user])
	for _, c := range Consumers {
		if c.Service == user {
			publish = append(publish,
				"$JS.API.CONSUMER.INFO."+c.Stream+"."+c.Durable,
				"$JS.API.CONSUMER.MSG.NEXT."+c.Stream+"."+c.Durable,
				"$JS.ACK."+c.Stream+"."+c.Durable+".>")
		}
	}
	publish = append(publish, watch(Revocations)...)
	if slices.Contains(revokers, user) {
		publish = append(publish, "$KV."+Revocations+".>")
	} else {
		publish = append(publish, "$KV."+Revocations+".heartbeat.>")
	}
	// Whoever can write another's key set can sign for it.
	publish = append(publish, "$JS.API.STREAM.INFO.KV_"+KeySets, "$KV."+KeySets+"."+user+".>",
		"$JS.API.DIRECT.GET.KV_"+KeySets+".$KV."+KeySets+"."+user+".>")
	if user == "identity-relay" {
		// An erased user's events are deleted from the stream, after a look at
		// whether they are still what is stored there.
		publish = append(publish, "$JS.API.STREAM.INFO."+Identity, "$JS.API.STREAM.MSG.GET."+Identity, "$JS.API.STREAM.MSG.DELETE."+Identity)
	}
	return Permissions{Publish: publish, Subscribe: append([]string{InboxPrefix(user) + ".>"}, listeners[user]...)}
}

// watch is what an ordered consumer over a bucket needs.
func watch(bucket string) []string {
	stream := "KV_" + bucket
	return []string{
		"$JS.API.STREAM.INFO." + stream,
		"$JS.API.DIRECT.GET." + stream + ".>",
		"$JS.API.CONSUMER.CREATE." + stream + ".>",
		"$JS.API.CONSUMER.INFO." + stream + ".>",
		"$JS.API.CONSUMER.DELETE." + stream + ".>",
		"$JS.API.CONSUMER.MSG.NEXT." + stream + ".>",
		"$JS.FC." + stream + ".>",
	}
}
