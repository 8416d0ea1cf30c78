package faq

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
	exchangeapi "github.com/shadowless/shadowless/services/token-exchange/api"
)

// TestRightToErasure: A user asks to be forgotten. How do we know that it happened everywhere?
//
// The identity provider's deletion opens an erasure at [identity-relay](../services/identity-relay): access is blocked at once, and after a grace period every registered participant
// erases or pseudonymises in one transaction and answers with a receipt. It is complete only when all have answered; until then it is open, late after an hour, and names who is missing
// (`services/identity-relay.TestErasure_IsLateAndSaysWhoIsMissing`). Then there is a certificate, which names the user by a keyed hash.
// The test deletes a user with a paid order and an open invoice, under a legal hold, so that the erasure stays open: the token is refused already, while the rows are all there. It lifts the hold, waits for five receipts, and then searches
// every database, stream and bucket for the ID in every spelling: what it finds are the invoices, which the receipt declares as kept by bookkeeping law, with the
// day on which that ends. What it does not reach are backups and logs: a restored backup is found by reconciliation and erased again
// ([how](identity.md), `services/identity-relay.TestErasure_ARestoredBackupIsErasedAgain`), and logs hold no user ID; what they do hold is the next question.
func TestRightToErasure(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	w.paid(c.Person)
	w.place(c.Person)
	relay := w.relay()
	hold, err := relay.HoldUser(w.ctx(), c.ID, "file 7 of this test")
	require.NoError(t, err)
	require.NoError(t, w.admin().Post(w.ctx(), "/api/auth/admin/remove-user", map[string]string{"userId": c.ID}))
	state := func() string {
		page, err := relay.Erasures(w.ctx(), relayapi.ErasureFilter{User: c.ID})
		if err != nil || len(page.Erasures) != 1 {
			return "none"
		}
		return page.Erasures[0].State
	}
	w.eventually("an erasure is open", func() bool { return state() == "held" })
	w.eventually("the token is refused", func() bool { return w.reads(c.Token) == http.StatusUnauthorized })
	require.Equal(t, "held", state())
	for _, service := range []string{devstack.Orders, devstack.Billing} {
		require.NotEmpty(t, w.rows(service, c.ID), service)
	}
	_, err = relay.LiftHold(w.ctx(), hold.ID)
	require.NoError(t, err)

	var done relayapi.ErasureDetail
	w.eventually("the erasure is complete", func() bool {
		page, err := relay.Erasures(w.ctx(), relayapi.ErasureFilter{User: c.ID})
		if err != nil || len(page.Erasures) == 0 {
			return false
		}
		done, err = relay.Erasure(w.ctx(), page.Erasures[0].ID)
		return err == nil && done.State == "complete"
	})
	var certificate relayapi.Certificate
	require.NoError(t, json.Unmarshal(done.Certificate, &certificate))
	require.Len(t, certificate.Receipts, 5)
	require.NotEmpty(t, certificate.User.Hash)
	require.NotContains(t, string(done.Certificate), c.ID)
	kept := map[string]int64{}
	for _, quoted := range certificate.Receipts {
		var receipt participant.Receipt
		require.NoError(t, json.Unmarshal(quoted.Receipt, &receipt))
		for _, column := range receipt.Columns {
			if column.Remaining > 0 {
				require.NotEmpty(t, column.LegalReason)
				require.NotNil(t, column.RetainedUntil)
				kept[devstack.DatabaseName(quoted.Participant)+" "+column.Table+"."+column.Column] = column.Remaining
			}
		}
	}
	found, err := devstack.Scan(w.ctx(), w.Running, c.ID)
	require.NoError(t, err)
	require.NotEmpty(t, found, "the invoices")
	for _, f := range found {
		require.EqualValues(t, kept[f.Store+" "+f.Place], f.Count, f.String())
	}
	require.Equal(t, http.StatusUnauthorized, w.reads(c.Token))
}

// TestPersonalDataInLogs: What personal data is in our logs?
//
// No name, e-mail address, token or user ID. A request's line has its route, status, the kind of caller and the client; a
// user ID in a path is logged as the route's pattern, and refusals log their cause without quoting the value that was wrong. One kind of line says more: [token-exchange](../services/token-exchange/README.md)'s, about who asked for a token,
// also has the network address of who asked, the key's ID, and the new token's ID (`jti`), SHA-256, audiences and scopes. Its audit keeps that token ID beside the user's, so
// for as long as the audit's row is there, a line leads to a person: the address and the token ID in it are personal data. The row goes with the user's erasure, or after a year
// (`TOKEN_EXCHANGE_AUDIT_RETENTION`, [8760h](configuration.md)). The programs write to standard output and delete nothing, so keep logs no longer than the audit.
// The test lets a user sign up, order, pay and be refused, lets staff look at them, reads every line that the programs wrote, allows the members above and no others, and follows a line to the user.
// When a case must be followed, the request ID and the trace ID of [the answer](problems.md) lead to the lines.
func TestPersonalDataInLogs(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	order := w.paid(c.Person)
	require.Equal(t, http.StatusForbidden, journey.Refused(w.refund(c.Person, order, 90_00)))
	staff := w.staff()
	_, err := w.orders.OrdersOf(w.ctx(), staff.Token, c.ID, 0, "")
	require.NoError(t, err)
	_, err = w.orders.Contact(w.ctx(), staff.Token, c.ID)
	require.NoError(t, err)

	var exchanged exchangeapi.Exchange
	admin := w.exchange()
	w.eventually("the audit has the exchange", func() bool {
		list, err := admin.Exchanges(w.ctx(), exchangeapi.AuditQuery{ClientID: devstack.Orders, UserID: c.ID})
		if err != nil || len(list.Exchanges) == 0 {
			return false
		}
		exchanged = list.Exchanges[0]
		return true
	})

	files, err := filepath.Glob(filepath.Join(w.StateDir, "logs", "*.log"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 7)
	var all strings.Builder
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(raw)
	}
	text := all.String()
	require.Contains(t, text, "/v1/users/{user_id}/contact", "the requests are in the logs")
	spellings := []string{c.ID, base64.RawURLEncoding.EncodeToString([]byte(c.ID)), c.email, c.name, c.password, c.Token, staff.ID, "eyJ"}
	require.False(t, slices.ContainsFunc(spellings, func(s string) bool {
		found := strings.Contains(text, s)
		if found {
			t.Logf("%.8s… is in a log", s)
		}
		return found
	}))

	var found map[string]any
	for line := range strings.Lines(text) {
		var members map[string]any
		if json.Unmarshal([]byte(line), &members) != nil || members["msg"] != "request" {
			continue
		}
		known := requestMembers
		if members["service"] == devstack.TokenExchange {
			known = append(slices.Clone(known), exchangeMembers...)
		}
		for name := range members {
			require.Contains(t, known, name, members["route"])
		}
		if members["token_id"] == exchanged.TokenID {
			found = members
		}
	}
	require.NotNil(t, found, "the token ID leads from the audit, which knows the user, to the line")
	require.NotEmpty(t, exchanged.Address)
	for name, value := range map[string]string{
		"address": exchanged.Address, "key_id": exchanged.KeyID, "token_sha256": exchanged.TokenSHA256, "client_id": devstack.Orders,
	} {
		require.Equal(t, value, found[name], name)
	}
}

// requestMembers are what the line of a request may have, exchangeMembers what
// token-exchange may add.
var (
	requestMembers = []string{
		"time", "level", "msg", "service", "trace_id", "span_id", "request_id", "method", "route", "status", "bytes", "duration",
		"caller_kind", "client_id", "actor", "code", "cause", "stack", "note", "note_cause", "renewal", "orders", "delivery_type", "outcome",
	}
	exchangeMembers = []string{
		"grant_type", "granted", "reason", "key_id", "token_id", "address", "audience", "scope", "token_sha256", "audit_dropped",
	}
)
