package identity

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// SchemaVersion is the version of the contract in this package. A later version
// only adds: types, attributes, members of data.
const SchemaVersion = 1

// schemaBase is where the schemas are published; it only makes their `$id` unique.
const schemaBase = "https://github.com/shadowless/shadowless/blob/main/docs/events/"

// AccessChange is the Data of access.changed: what was granted or revoked.
type AccessChange struct {
	EntityType string `json:"entity_type" doc:"type of what access was given to, as the identity provider names it"`
	EntityID   string `json:"entity_id,omitempty" doc:"which one; absent where the provider does not say"`
	Relation   string `json:"relation" doc:"what the user is to it"`
	Change     string `json:"change" doc:"what happened: granted, revoked or condition_updated; ignore others"`
}

// Rekeying is the Data of user.rekeyed.
type Rekeying struct {
	RekeyID   string `json:"rekey_id" doc:"which rekeying it is; the receipt quotes it"`
	NewUserID string `json:"new_user_id" doc:"the user's ID from now on, as opaque as the old one in user_id; up to 255 bytes of UTF-8"`
}

// Contract describes one event type.
type Contract struct {
	Type string
	// Summary is one sentence for readers.
	Summary string
	// Required and Optional are the members of data beside version.
	Required, Optional []string
	// Data is the type of Event.Data, or nil.
	Data reflect.Type
}

// Contracts lists every event type of this version.
func Contracts() []Contract {
	user := []string{"user_id"}
	return []Contract{
		{Type: TypeUserCreated, Summary: "A user signed up.", Required: user},
		{Type: TypeUserUpdated, Summary: "Something about a user changed; ask the directory what it is now.", Required: user},
		{Type: TypeUserDeleted, Summary: "A user was deleted at the identity provider; access has ended, the data waits out its grace.", Required: user, Optional: []string{"erasure_id"}},
		{Type: TypeUserBanned, Summary: "A user is blocked.", Required: user},
		{Type: TypeUserUnbanned, Summary: "A user is no longer blocked.", Required: user},
		{Type: TypeUserSignedOut, Summary: "Every session that a user had until the event's time is over.", Required: user},
		{Type: TypeSessionEnded, Summary: "One session is over.", Required: []string{"session_id"}, Optional: user},
		{Type: TypeAccessChanged, Summary: "A user was granted or lost access; tokens say what counts.", Required: user, Data: reflect.TypeFor[AccessChange]()},
		{Type: TypeErasureRequested, Summary: "Every participant must erase the user and answer with a receipt.", Required: []string{"user_id", "erasure_id"}},
		{Type: TypeErasureReadmitted, Summary: "A user who was erased may come back under the same ID.", Required: []string{"user_id", "erasure_id"}},
		{
			Type: TypeErasureHeld, Required: []string{"user_id", "erasure_id"},
			Summary: "A legal hold was placed on a user who was erased: what was kept of them for a time stays beyond it. " +
				"erasure_id says who it is; nobody knows the ID any more, and user_id is a pseudonym.",
		},
		{Type: TypeErasureReleased, Summary: "That legal hold is lifted: what was kept for a time that is over is erased.", Required: []string{"user_id", "erasure_id"}},
		{
			Type: TypeUserRekeyed, Required: user, Data: reflect.TypeFor[Rekeying](),
			Summary: "A user has another ID now: every participant moves what it holds and answers with a receipt; the old ID is refused from then on.",
		},
	}
}

// SchemaFile is the name of the type's schema in docs/events.
func (c Contract) SchemaFile() string {
	return fmt.Sprintf("%s.v%d.schema.json", c.Type, SchemaVersion)
}

type object = map[string]any

// Schema returns the JSON Schema (2020-12) of the type's events as they travel.
// It allows what it does not name: that is what later versions add. Lengths are
// in characters, because JSON Schema knows no bytes; the limit is 255 bytes.
func (c Contract) Schema() ([]byte, error) {
	envelope := object{
		"specversion":     object{"const": "1.0", "description": "CloudEvents 1.0"},
		"id":              text(maxIDBytes, "unique within source; what inboxes deduplicate by"),
		"source":          text(maxSourceBytes, "who tells it, as a URI reference"),
		"type":            object{"const": c.Type},
		"time":            object{"type": "string", "format": "date-time", "description": "when it was observed"},
		"datacontenttype": object{"const": contentType},
	}
	required := []string{"specversion", "id", "source", "type", "time", "data"}
	data, err := c.dataSchema()
	if err != nil {
		return nil, err
	}
	envelope["data"] = data
	for f := range reflect.TypeFor[wireEvent]().Fields() {
		if envelope[memberOf(f)] == nil {
			return nil, fmt.Errorf("the schema of %s lacks %s", c.Type, memberOf(f))
		}
	}
	return json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schemaBase + c.SchemaFile(),
		"title": fmt.Sprintf("%s, version %d", c.Type, SchemaVersion), "description": c.Summary,
		"type": "object", "required": required, "properties": envelope,
	}, "", "  ")
}

func (c Contract) dataSchema() (object, error) {
	known := object{
		"user_id":    text(MaxUserIDBytes, "the opaque ID of the user, never parsed, trimmed or normalised; up to 255 bytes of UTF-8"),
		"session_id": text(maxIDBytes, "the opaque ID of the session"),
		"erasure_id": text(maxIDBytes, "which erasure it belongs to"),
	}
	properties := object{"version": object{
		"type": "integer", "minimum": 0, "maximum": int64(1<<63 - 1),
		"description": "commit order: of two events about one user the greater one is the later; order of arrival says nothing",
	}}
	required := append([]string{"version"}, c.Required...)
	for _, name := range append(append([]string{}, c.Required...), c.Optional...) {
		if known[name] == nil {
			return nil, fmt.Errorf("the schema of %s has the unknown member %s", c.Type, name)
		}
		properties[name] = known[name]
	}
	if c.Data != nil {
		for f := range c.Data.Fields() {
			if f.Type.Kind() != reflect.String {
				return nil, fmt.Errorf("the schema of %s cannot say what %s is", c.Type, f.Name)
			}
			properties[memberOf(f)] = text(maxIDBytes, f.Tag.Get("doc"))
			if !strings.Contains(f.Tag.Get("json"), ",omitempty") {
				required = append(required, memberOf(f))
			}
		}
	}
	return object{"type": "object", "required": required, "properties": properties}, nil
}

func memberOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func text(limit int, description string) object {
	return object{"type": "string", "minLength": 1, "maxLength": limit, "description": description}
}
