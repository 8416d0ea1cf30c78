package identity_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shadowless/shadowless/pkg/identity"
)

func valid() identity.Event {
	return identity.Event{
		ID: "e1", Source: "/identity-relay", Type: identity.TypeUserDeleted, Version: 42,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC), UserID: "auth0|a.b c*",
	}
}

func TestEncode_IsCloudEventsJSON(t *testing.T) {
	t.Parallel()
	raw, err := identity.Encode(valid())
	require.NoError(t, err)
	require.JSONEq(t, `{"specversion":"1.0","id":"e1","source":"/identity-relay","type":"user.deleted",
		"time":"2026-01-02T03:04:05.006Z","datacontenttype":"application/json","data":{"user_id":"auth0|a.b c*","version":42}}`, string(raw))
}

func TestDecode_ReturnsWhatWasEncoded(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`[^\x00-\x1f\x7f-\x9f]{1,50}`)
	rapid.Check(t, func(t *rapid.T) {
		e := identity.Event{
			ID: text.Draw(t, "id"), Source: text.Draw(t, "source"),
			Type:    rapid.SampledFrom([]string{identity.TypeUserBanned, identity.TypeAccessChanged, "later.kind_of.event"}).Draw(t, "type"),
			Version: rapid.Uint64Max(1<<63-1).Draw(t, "version"),
			Time:    time.Unix(rapid.Int64Range(1, 4e9).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")).UTC(),
			UserID:  text.Draw(t, "user"),
		}
		if rapid.Bool().Draw(t, "session") {
			e.SessionID = text.Draw(t, "sid")
		}
		if rapid.Bool().Draw(t, "more") {
			e.Data = json.RawMessage(`{"later":[1,2]}`)
		}
		raw, err := identity.Encode(e)
		require.NoError(t, err)
		got, err := identity.Decode(raw)
		require.NoError(t, err)
		require.Equal(t, e, got)
	})
}

// A consumer of version 1 reads what version 2 may add: attributes, data
// members, a type that it does not know.
func TestDecode_SurvivesWhatLaterVersionsAdd(t *testing.T) {
	t.Parallel()
	e, err := identity.Decode([]byte(`{"specversion":"1.0","id":"e1","source":"s","type":"user.merged","time":"2026-01-02T03:04:05+02:00",
		"dataschema":"https://example.com/v2","traceparent":"x","data":{"user_id":"u","version":1,"into":"w","deep":{"a":[null]}}}`))
	require.NoError(t, err)
	require.Equal(t, "user.merged", e.Type)
	require.JSONEq(t, `{"into":"w","deep":{"a":[null]}}`, string(e.Data))
	require.Equal(t, time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC), e.Time)
}

func TestDecode_Refuses(t *testing.T) {
	t.Parallel()
	raw, err := identity.Encode(valid())
	require.NoError(t, err)
	good := string(raw)
	change := func(from, to string) string {
		changed := strings.Replace(good, from, to, 1)
		require.NotEqual(t, good, changed)
		return changed
	}
	data := func(d string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":"e","source":"s","type":"session.ended","time":"2026-01-02T03:04:05Z","data":%s}`, d)
	}
	for name, text := range map[string]string{
		"nothing":                  "",
		"not an object":            "[]",
		"null":                     "null",
		"trailing text":            good + "x",
		"second object":            good + good,
		"too large":                change(`"e1"`, `"`+strings.Repeat("e", identity.MaxEventBytes)+`"`),
		"other specversion":        change(`"1.0"`, `"0.3"`),
		"no id":                    change(`"id":"e1",`, ``),
		"empty id":                 change(`"e1"`, `""`),
		"number as id":             change(`"e1"`, `1`),
		"null id":                  change(`"e1"`, `null`),
		"wrong case of a name":     change(`"id"`, `"ID"`),
		"duplicate attribute":      change(`"id":"e1"`, `"id":"e1","id":"e2"`),
		"duplicate data member":    change(`"user_id"`, `"user_id":"other","user_id"`),
		"escaped duplicate":        change(`"user_id"`, `"user\u005fid":"other","user_id"`),
		"long id":                  change(`"e1"`, `"`+strings.Repeat("e", 256)+`"`),
		"no source":                change(`"source":"/identity-relay",`, ``),
		"type with wildcard":       change(`"user.deleted"`, `"user.*"`),
		"type with space":          change(`"user.deleted"`, `"user deleted"`),
		"type in upper case":       change(`"user.deleted"`, `"User.Deleted"`),
		"bad time":                 change(`2026-01-02T03:04:05.006Z`, `yesterday`),
		"other media type":         change(`application/json`, `text/xml`),
		"data missing":             change(`"data"`, `"date"`),
		"data null":                data(`null`),
		"user ID empty":            change(`"auth0|a.b c*"`, `""`),
		"user ID a number":         change(`"auth0|a.b c*"`, `7`),
		"user ID too long":         change(`"auth0|a.b c*"`, `"`+strings.Repeat("u", 256)+`"`),
		"user ID with control":     change(`"auth0|a.b c*"`, `"a\u0000b"`),
		"lone surrogate":           change(`"auth0|a.b c*"`, `"a\ud800b"`),
		"lone low surrogate":       change(`"auth0|a.b c*"`, `"a\udc00b"`),
		"not UTF-8":                change(`auth0|a.b c*`, "a\xffb"),
		"version missing":          change(`,"version":42`, ``),
		"version null":             change(`42`, `null`),
		"version negative":         change(`42`, `-1`),
		"version a fraction":       change(`42`, `1.5`),
		"version over 63 bits":     change(`42`, `9223372036854775808`),
		"version a string":         change(`42`, `"42"`),
		"erasure without an ID":    change(`user.deleted`, `erasure.requested`),
		"session event without ID": data(`{"version":1,"user_id":"u"}`),
		"nobody":                   data(`{"version":1}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := identity.Decode([]byte(text))
			require.ErrorIs(t, err, identity.ErrInvalidEvent)
			require.NotContains(t, err.Error(), "auth0", "no value is quoted")
		})
	}
	_, err = identity.Decode([]byte(data(`{"version":1,"session_id":"s"}`)))
	require.NoError(t, err)
	e, err := identity.Decode([]byte(change(`"auth0|a.b c*"`, `"\ud83d\ude00\\ud800"`)))
	require.NoError(t, err)
	require.Equal(t, "😀\\ud800", e.UserID)
}

func TestEncode_Refuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*identity.Event){
		"no time":         func(e *identity.Event) { e.Time = time.Time{} },
		"no user":         func(e *identity.Event) { e.UserID = "" },
		"reserved member": func(e *identity.Event) { e.Data = json.RawMessage(`{"user_id":"other"}`) },
		"data no object":  func(e *identity.Event) { e.Data = json.RawMessage(`[1]`) },
		"data too large":  func(e *identity.Event) { e.Data = json.RawMessage(`{"a":"` + strings.Repeat("a", 64<<10) + `"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := valid()
			change(&e)
			_, err := identity.Encode(e)
			require.ErrorIs(t, err, identity.ErrInvalidEvent)
		})
	}
}

func TestCheckUserID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", ".", "..", "auth0|x y", "ÄÖ", strings.Repeat("x", 255), "\u00a0"} {
		require.NoError(t, identity.CheckUserID(id), "%q", id)
	}
	for _, id := range []string{"", strings.Repeat("x", 256), "a\x00", "a\n", "\x7f", "\u0085", "\xff"} {
		require.ErrorIs(t, identity.CheckUserID(id), identity.ErrInvalidUserID, "%q", id)
	}
}

func TestSubject_CarriesAPartitionAndNoUserID(t *testing.T) {
	t.Parallel()
	e := valid()
	require.Regexp(t, `^identity\.v1\.user\.deleted\.0[0-7]$`, identity.Subject(e))
	require.Equal(t, "identity.v1.erasure.>", identity.Filter("erasure"))
	seen := map[int]bool{}
	for i := range 200 {
		seen[identity.Partition(strconv.Itoa(i))] = true
	}
	require.Len(t, seen, identity.Partitions)
	// Fixed for ever: other languages compute it too.
	require.Equal(t, 0, identity.Partition("alice"))
	require.Equal(t, 1, identity.Partition("bob"))
}

func FuzzDecode(f *testing.F) {
	raw, err := identity.Encode(valid())
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte(`{"specversion":"1.0","data":{"user_id":"\ud800"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := identity.Decode(raw)
		if err != nil {
			require.ErrorIs(t, err, identity.ErrInvalidEvent)
			return
		}
		if len(raw) > identity.MaxEventBytes/6 {
			return // escaping may carry it over the limit
		}
		again, err := identity.Encode(e)
		require.NoError(t, err, "what decodes encodes")
		back, err := identity.Decode(again)
		require.NoError(t, err)
		e.Data, back.Data = nil, nil
		require.Equal(t, e, back)
	})
}
