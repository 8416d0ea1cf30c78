package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/shadowless/shadowless/internal/apiclient"
	"github.com/shadowless/shadowless/internal/userids"
)

// OrphanAuditRequest starts an audit, or lets one go on.
type OrphanAuditRequest struct {
	// Partial goes on without a participant that does not answer.
	Partial bool `json:"partial,omitempty"`
}

// OrphanAudit compares the IDs that services hold with the identity provider's
// users. It changes nothing about anybody.
type OrphanAudit struct {
	ID         string              `json:"id"`
	State      string              `json:"state"` // running, stopped, finished
	Phase      string              `json:"phase"` // holders, list, lookups, done
	StartedAt  time.Time           `json:"started_at"`
	FinishedAt *time.Time          `json:"finished_at,omitempty"`
	Holders    []OrphanAuditHolder `json:"holders"`
	Columns    []OrphanAuditColumn `json:"columns"`
	Listed     int64               `json:"listed"`
	// Unsettled IDs are not in the list and are still to be looked up alone; 0
	// until the list was read.
	Unsettled int64  `json:"unsettled"`
	LookedUp  int64  `json:"looked_up"`
	Problem   string `json:"problem,omitempty"`
}

// OrphanAuditHolder is how far one service has told its IDs.
type OrphanAuditHolder struct {
	Name     string `json:"name"`
	IDs      int64  `json:"ids"`
	Complete bool   `json:"complete"`
	Problem  string `json:"problem,omitempty"`
}

// OrphanAuditColumn counts user IDs in one column.
type OrphanAuditColumn struct {
	Holder string `json:"holder"`
	Table  string `json:"table"`
	Column string `json:"column"`
	IDs    int64  `json:"ids"`
	Rows   int64  `json:"rows"`
	// Orphans are unknown to the identity provider and nobody erases them.
	Orphans int64 `json:"orphans"`
	// Erased users have rows that should have gone with them.
	Erased int64 `json:"erased"`
	// Erasing users are under an erasure.
	Erasing int64 `json:"erasing"`
	// Retained are erased users' rows that are kept for a legal reason.
	Retained int64 `json:"retained"`
	// Foreign users are another issuer's: this list says nothing about them.
	Foreign int64 `json:"foreign"`
}

// Orphan is an ID that one service holds.
type Orphan struct {
	Holder   string        `json:"holder"`
	Finding  string        `json:"finding"`           // orphan, erasing, erased
	UserHash string        `json:"user_hash"`         // keyed, base64url
	UserID   string        `json:"user_id,omitempty"` // base64url; only where it was asked for
	Places   []OrphanPlace `json:"places"`
}

// OrphanPlace is a column with the number of its rows.
type OrphanPlace struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	Rows   int64  `json:"rows"`
}

// Orphans is a page.
type Orphans struct {
	Orphans []Orphan `json:"orphans"`
	Next    int64    `json:"next,omitempty"`
}

// StartOrphanAudit begins an audit; it goes on in the relay.
func (c *Client) StartOrphanAudit(ctx context.Context, request OrphanAuditRequest) (OrphanAudit, error) {
	return apiclient.Do[OrphanAudit](ctx, c.calls, apiclient.Call{Method: http.MethodPost, Path: []string{"v1", "orphan-audits"}, Body: request})
}

// ResumeOrphanAudit lets an audit go on that stopped; one that runs is left alone.
func (c *Client) ResumeOrphanAudit(ctx context.Context, id string, request OrphanAuditRequest) (OrphanAudit, error) {
	return apiclient.Do[OrphanAudit](ctx, c.calls, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "orphan-audits", id, "resume"}, Body: request,
	})
}

// OrphanAudit returns an audit with what it has found so far.
func (c *Client) OrphanAudit(ctx context.Context, id string) (OrphanAudit, error) {
	return apiclient.Do[OrphanAudit](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "orphan-audits", id}})
}

// Orphans returns a page of a finished audit's findings.
func (c *Client) Orphans(ctx context.Context, id string, after int64, showIDs bool) (Orphans, error) {
	query := url.Values{"after": {strconv.FormatInt(after, 10)}}
	if showIDs {
		query.Set("show_ids", "true")
	}
	return apiclient.Do[Orphans](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "orphan-audits", id, "orphans"}, Query: query})
}

// Export is the record of one: who asked, and what each participant delivered.
type Export struct {
	ID          string         `json:"id"`
	UserHash    string         `json:"user_hash"` // keyed, base64url
	HashKeyID   string         `json:"hash_key_id"`
	RequestedBy string         `json:"requested_by"`
	StartedAt   time.Time      `json:"started_at"`
	Answers     []ExportAnswer `json:"answers"`
}

// ExportAnswer is what one participant delivered.
type ExportAnswer struct {
	Participant string     `json:"participant"`
	Pages       int64      `json:"pages"`
	Rows        int64      `json:"rows"`
	Complete    bool       `json:"complete"`
	AnsweredAt  *time.Time `json:"answered_at,omitempty"`
}

// Exports is a page, newest first.
type Exports struct {
	Exports []Export `json:"exports"`
}

// ExportPage is a part of what a participant holds in one table.
type ExportPage struct {
	Table    string            `json:"table"`
	Columns  []string          `json:"columns"`
	Withheld []WithheldColumn  `json:"withheld"`
	Rows     []json.RawMessage `json:"rows"`
	Next     string            `json:"next,omitempty"`
}

// WithheldColumn is left out of an export.
type WithheldColumn struct {
	Column string `json:"column"`
	Reason string `json:"reason"`
}

// userRequest names a user; the ID travels as base64url.
type userRequest struct {
	UserID string `json:"user_id"`
}

// StartExport records that somebody exports a user's data. The answer lists whom to ask.
func (c *Client) StartExport(ctx context.Context, userID string) (Export, error) {
	return apiclient.Do[Export](ctx, c.calls, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "exports"}, Body: userRequest{UserID: userids.Encode(userID)},
	})
}

// ExportPage reads one page from one participant. An empty cursor begins.
func (c *Client) ExportPage(ctx context.Context, exportID, userID, participant, cursor string) (ExportPage, error) {
	return apiclient.Do[ExportPage](ctx, c.calls, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "exports", exportID, "pages"},
		Body: ExportPageRequest{UserID: userids.Encode(userID), Participant: participant, Cursor: cursor},
	})
}

// ExportPageRequest asks for one page. UserID is base64url.
type ExportPageRequest struct {
	UserID      string `json:"user_id"`
	Participant string `json:"participant"`
	Cursor      string `json:"cursor,omitempty"`
}

// Exports returns the last exports.
func (c *Client) Exports(ctx context.Context) (Exports, error) {
	return apiclient.Do[Exports](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "exports"}})
}

// RekeyRequest gives a user another ID. Both IDs are base64url.
type RekeyRequest struct {
	OldUserID string `json:"old_user_id"`
	NewUserID string `json:"new_user_id"`
	// DryRun counts and changes nothing.
	DryRun bool `json:"dry_run,omitempty"`
	// AcceptUnknown believes in a new user whom the identity provider does not know.
	AcceptUnknown bool `json:"accept_unknown,omitempty"`
	// Again asks everybody once more, for a service that came later or was restored.
	Again bool `json:"again,omitempty"`
}

// Rekeying is one, or what one would do.
type Rekeying struct {
	ID          string           `json:"id,omitempty"`
	State       string           `json:"state"` // dry_run, requested, complete
	OldHash     string           `json:"old_hash"`
	NewHash     string           `json:"new_hash"`
	HashKeyID   string           `json:"hash_key_id"`
	RequestedBy string           `json:"requested_by,omitempty"`
	OpenedAt    *time.Time       `json:"opened_at,omitempty"`
	DueAt       *time.Time       `json:"due_at,omitempty"`
	CompletedAt *time.Time       `json:"completed_at,omitempty"`
	Late        bool             `json:"late,omitempty"`
	WaitingFor  []string         `json:"waiting_for"`
	Answers     []RekeyingAnswer `json:"answers"`
	// MessagesDeleted are those about the old ID that were in the stream.
	MessagesDeleted int64 `json:"messages_deleted,omitempty"`
	// Conflicts is set for a dry run that could not be carried out.
	Conflicts bool `json:"conflicts,omitempty"`
}

// RekeyingAnswer is what one participant did, or would do.
type RekeyingAnswer struct {
	Participant string           `json:"participant"`
	AnsweredAt  *time.Time       `json:"answered_at,omitempty"`
	Columns     []RekeyingColumn `json:"columns"`
	Problem     string           `json:"problem,omitempty"`
}

// RekeyingColumn counts rows of the old ID in one column.
type RekeyingColumn struct {
	Table    string `json:"table"`
	Column   string `json:"column"`
	Action   string `json:"action"` // move, discard
	Rows     int64  `json:"rows"`
	Merged   int64  `json:"merged,omitempty"`
	Refused  int64  `json:"refused,omitempty"`
	Conflict string `json:"conflict,omitempty"` // refuse, keep_new, add
	Reason   string `json:"reason,omitempty"`
}

// Rekeyings is a page, newest first.
type Rekeyings struct {
	Rekeyings []Rekeying `json:"rekeyings"`
}

// Rekey gives a user another ID, or tells what that would do. The same again
// returns the rekeying that there is.
func (c *Client) Rekey(ctx context.Context, oldID, newID string, options RekeyRequest) (Rekeying, error) {
	options.OldUserID, options.NewUserID = userids.Encode(oldID), userids.Encode(newID)
	return apiclient.Do[Rekeying](ctx, c.calls, apiclient.Call{Method: http.MethodPost, Path: []string{"v1", "rekeyings"}, Body: options})
}

// Rekeying returns one.
func (c *Client) Rekeying(ctx context.Context, id string) (Rekeying, error) {
	return apiclient.Do[Rekeying](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "rekeyings", id}})
}

// Rekeyings returns the last ones; open ones alone, if asked to.
func (c *Client) Rekeyings(ctx context.Context, open bool) (Rekeyings, error) {
	query := url.Values{}
	if open {
		query.Set("open", "true")
	}
	return apiclient.Do[Rekeyings](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "rekeyings"}, Query: query})
}
