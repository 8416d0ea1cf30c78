package gen

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/shadowless/shadowless/internal/problem"
)

// problems explains every type of problem document. The services' packages are
// linked into this program, so each of their errors is known here.
func problems() []byte {
	var out bytes.Buffer
	out.WriteString(notice + `# Problems

Errors are problem documents (RFC 9457). The ` + "`type`" + ` of each points to its paragraph here, ` + "`code`" + ` is the same for
programs, and ` + "`detail`" + ` is the one public sentence. The cause is in the service's log, under the ` + "`X-Request-Id`" + ` of
the answer. Refused tokens are answered as RFC 6750 says, the token endpoint's errors as RFC 6749 says.
`)
	last := ""
	for _, p := range problem.Known() {
		if p.Code != last {
			fmt.Fprintf(&out, "\n## %s\n\n%d %s\n", p.Code, p.Status, http.StatusText(p.Status))
		}
		last = p.Code
		fmt.Fprintf(&out, "\n> %s\n", p.Sentence)
	}
	return out.Bytes()
}
