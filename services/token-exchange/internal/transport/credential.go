package transport

import (
	"net/http"
	"net/url"

	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// credential reads how the client proves itself (RFC 6749, section 2.3; RFC
// 7523, section 2.2): by one method, not by two.
func credential(r *http.Request, form url.Values) (clients.Credential, error) {
	c := clients.Credential{
		ClientID: form.Get("client_id"), APIKey: form.Get("client_secret"),
		Assertion: form.Get("client_assertion"), AssertionType: form.Get("client_assertion_type"), Address: address(r),
	}
	header := r.Header.Values("Authorization")
	asserted := c.Assertion != "" || c.AssertionType != ""
	if len(header) > 1 || (len(header) > 0 && (c.APIKey != "" || asserted)) || (c.APIKey != "" && asserted) {
		return c, oauth.InvalidRequest("two_credentials", "More than one way of client authentication is used.")
	}
	if len(header) == 0 {
		return c, nil
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return c, oauth.InvalidClient("scheme")
	}
	id, err := url.QueryUnescape(user)
	if err != nil || id == "" {
		return c, oauth.InvalidClient("basic_malformed")
	}
	secret, err := url.QueryUnescape(password)
	if err != nil {
		return c, oauth.InvalidClient("basic_malformed")
	}
	if c.ClientID != "" && c.ClientID != id {
		return c, oauth.InvalidRequest("two_clients", "The parameter client_id names another client.")
	}
	c.ClientID, c.APIKey = id, secret
	return c, nil
}
