package billing_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/billing/api"
)

func TestRefund_TheIdentityProviderDecidesByAmountStatusAndCurrency(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	inv := w.paid("alice", 20000)

	small, err := w.client.Refund(ctx, w.user("alice"), uuid.NewString(), inv.ID, 1000, 0)
	require.NoError(t, err)
	require.Equal(t, api.StatusPaid, small.Status)
	require.EqualValues(t, 1000, small.RefundedMinor)
	asked := w.checker.questions()
	require.Len(t, asked, 1)
	require.Equal(t, "client_shop:invoice", asked[0].EntityType)
	require.Equal(t, inv.ID.String(), asked[0].EntityID)
	require.Equal(t, "refund", asked[0].Permission)
	require.Equal(t, map[string]any{"amount": 1000., "status": "paid", "currency": "EUR"}, asked[0].Resource.Attributes)

	_, err = w.client.Refund(ctx, w.user("alice"), uuid.NewString(), inv.ID, 9000, 0)
	refusal(t, err, 403, "forbidden")
	// Small steps do not get around the limit: what counts is their sum.
	_, err = w.client.Refund(ctx, w.user("alice"), uuid.NewString(), inv.ID, 4500, 0)
	refusal(t, err, 403, "forbidden")

	before := len(w.checker.questions())
	all, err := w.client.Refund(ctx, w.staff("staff"), uuid.NewString(), inv.ID, 19000, 0)
	require.NoError(t, err)
	require.Equal(t, api.StatusRefunded, all.Status)
	require.Len(t, w.checker.questions(), before, "staff are allowed by their token alone")
}

func TestRefund_WhatCannotBeIsNotAskedFor(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	open, paid := w.invoice("alice", 1000), w.paid("alice", 1000)
	_, err := w.client.Refund(ctx, w.user("alice"), "a", open.ID, 1, 0)
	refusal(t, err, 409, "invoice-not-paid")
	for _, amount := range []int64{0, -1, 1001, 1 << 62} {
		_, err = w.client.Refund(ctx, w.user("alice"), "b", paid.ID, amount, 0)
		refusal(t, err, 422, "refund-too-large")
	}
	_, err = w.client.Refund(ctx, w.user("alice"), "c", paid.ID, 1, paid.Version-1)
	refusal(t, err, 412, "version-changed")
	require.Empty(t, w.checker.questions())
}

func TestRefund_WithoutAnAnswerIsRefusedForNow(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	inv := w.paid("alice", 1000)
	done, err := w.client.Refund(ctx, w.user("alice"), "before", inv.ID, 100, 0)
	require.NoError(t, err)

	w.checker.down.Store(true)
	_, err = w.client.Refund(ctx, w.user("alice"), "during", inv.ID, 100, 0)
	refusal(t, err, 503, "permission-unavailable")
	var refused *api.Error
	require.ErrorAs(t, err, &refused)
	require.Positive(t, refused.RetryAfter)
	// Static permissions, reading, and what was already answered go on.
	_, err = w.client.Refund(ctx, w.staff("staff"), "staff", inv.ID, 100, 0)
	require.NoError(t, err)
	again, err := w.client.Refund(ctx, w.user("alice"), "before", inv.ID, 100, 0)
	require.NoError(t, err)
	require.Equal(t, done, again)

	w.checker.down.Store(false)
	_, err = w.client.Refund(ctx, w.user("alice"), "during", inv.ID, 100, 0)
	require.NoError(t, err)
}

func TestRefund_DecidedLocallyNeedsNobody(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *billing.Config) { c.RefundDecider = billing.DeciderLocal })
	ctx := t.Context()
	w.checker.down.Store(true)
	inv := w.paid("alice", 20000)
	_, err := w.client.Refund(ctx, w.user("alice"), uuid.NewString(), inv.ID, 5001, 0)
	refusal(t, err, 403, "forbidden")
	_, err = w.client.Refund(ctx, w.user("alice"), uuid.NewString(), inv.ID, 5000, 0)
	require.NoError(t, err)
	_, err = w.client.Refund(ctx, w.user("alice"), uuid.NewString(), inv.ID, 1, 0)
	refusal(t, err, 403, "forbidden")
	_, err = w.client.Refund(ctx, w.staff("staff"), uuid.NewString(), inv.ID, 15000, 0)
	require.NoError(t, err)
	require.Empty(t, w.checker.questions())
}

// The caller is told what to come back with, before anybody is asked anything.
func TestRefund_NeedsTheSignInThatIsConfigured(t *testing.T) {
	t.Parallel()
	const strong = "urn:example:mfa"
	w := start(t, func(c *billing.Config) { c.RefundACR, c.RefundMaxAuthAge = []string{strong}, 5*time.Minute })
	inv := w.paid("alice", 1000)
	acr, old := authntest.Claim("acr", strong), authntest.Claim("auth_time", time.Now().Add(-6*time.Minute).Unix())
	for name, token := range map[string]string{
		"long ago":   w.user("alice", acr, old),
		"weak":       w.user("alice"),
		"weak staff": w.staff("staff"),
	} {
		_, err := w.client.Refund(t.Context(), token, uuid.NewString(), inv.ID, 10, 0)
		var refused *api.Error
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, 401, refused.Status, name)
	}
	require.Empty(t, w.checker.questions())
	_, err := w.client.Refund(t.Context(), w.user("alice", acr), uuid.NewString(), inv.ID, 10, 0)
	require.NoError(t, err)
	_, err = w.client.Invoice(t.Context(), w.user("alice", old), inv.ID)
	require.NoError(t, err, "reading needs nothing of the kind")
}
