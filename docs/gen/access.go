package gen

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/console"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/orders"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

// accessTables shows the tables that the services themselves start from.
func accessTables() []byte {
	var out bytes.Buffer
	out.WriteString(notice + `# Access tables

Who may call what. Each service starts from its table and from nothing else: a route that is missing from it does not
start. A caller is admitted by any one of the rules. Where revocations are known longer ago than the limit, a route that
fails closed answers 503 with Retry-After; one that fails open goes on with what is known.
`)
	for _, table := range []access.Table{
		orders.Access(), billing.Access(), tokenexchange.Access(), identityrelay.Access, console.Access(),
	} {
		fmt.Fprintf(&out, "\n## %s\n\n| route | admits | stale revocations | what it is for |\n|---|---|---|---|\n", table.Service)
		for _, r := range table.Routes {
			rules := make([]string, len(r.Allow))
			for i, rule := range r.Allow {
				rules[i] = rule.String()
			}
			limit := fmt.Sprintf("%s after %s", r.Posture, r.Limit())
			if r.IsPublic() {
				limit = "not asked"
			}
			about := r.Doc
			for _, data := range r.Discloses {
				about += "; discloses: " + string(data)
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", r.Pattern, strings.Join(rules, "; "), limit, about)
		}
	}
	return out.Bytes()
}
