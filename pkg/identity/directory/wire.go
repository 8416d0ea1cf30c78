package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxAnswerBytes allows 100 profiles with long names and addresses.
	maxAnswerBytes = 1 << 20
	maxNameBytes   = 256
	maxAvatarBytes = 2048
	maxEmailBytes  = 320 // RFC 3696, errata 1690: 64 before the @ and 255 behind it
)

type lookupRequest struct {
	IDs []string `json:"ids"`
	// Fields asks for more than a name and a picture.
	Fields []string `json:"fields,omitempty"`
}

type lookupAnswer struct {
	Users []struct {
		ID     string  `json:"id"`
		Name   string  `json:"name"`
		Image  *string `json:"image"`
		Email  string  `json:"email"`
		Erased bool    `json:"erased"`
	} `json:"users"`
}

// ask posts one batch. The answer holds nobody who was not asked for, and no
// e-mail address unless it was.
func (c *Client) ask(ctx context.Context, ids []string, email bool) (answer map[string]Profile, err error) {
	question := lookupRequest{IDs: ids}
	if email {
		question.Fields = []string{"email"}
	}
	body, err := json.Marshal(question)
	if err != nil {
		return nil, fmt.Errorf("encode directory request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make directory request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := c.config.HTTPClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the directory: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the directory: it answered %d", response.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the directory's answer: %w", err)
	}
	var wire lookupAnswer
	// Without the list everybody would be unknown.
	if len(raw) > maxAnswerBytes || json.Unmarshal(raw, &wire) != nil || wire.Users == nil {
		return nil, errors.New("read the directory's answer: too large or not as agreed")
	}
	asked := make(map[string]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	answer = make(map[string]Profile, len(wire.Users))
	for _, user := range wire.Users {
		switch {
		case !asked[user.ID] || answer[user.ID].Erased:
		case user.Erased:
			answer[user.ID] = Profile{Erased: true} // whatever else the answer still says
		default:
			p := Profile{Name: displayName(user.Name)}
			if user.Image != nil {
				p.AvatarURL = pictureAddress(*user.Image)
			}
			if email {
				p.Email = emailAddress(user.Email)
			}
			answer[user.ID] = p
		}
	}
	return answer, nil
}

// displayName removes what a name could do beside being read: control
// characters, and marks that turn the text around it.
func displayName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, name)
	if len(name) <= maxNameBytes {
		return name
	}
	end := maxNameBytes
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end]
}

// pictureAddress is the address if a page may load it, else empty.
func pictureAddress(address string) string {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxAvatarBytes || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return address
}

func emailAddress(address string) string {
	if len(address) > maxEmailBytes || !strings.Contains(address, "@") || strings.ContainsFunc(address, unicode.IsControl) {
		return ""
	}
	return address
}
