package scim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

// list is a ListResponse (RFC 7644, section 3.4.2).
type list struct {
	Schemas      []string   `json:"schemas"`
	TotalResults *int       `json:"totalResults"`
	StartIndex   *int       `json:"startIndex"`
	NextCursor   string     `json:"nextCursor"` // RFC 9865
	Resources    []resource `json:"Resources"`
}

// Each reads the whole list.
func (c *Client) Each(ctx context.Context, fn func([]userlist.User) error) error {
	byCursor, err := c.offersCursor(ctx)
	if err == nil && byCursor {
		err = c.eachByCursor(ctx, fn)
	} else if err == nil {
		err = c.eachByIndex(ctx, fn)
	}
	if err != nil {
		return fmt.Errorf("list users: %w", err)
	}
	return nil
}

// offersCursor asks what the provider can do. One that does not say so pages by
// index, as every provider must.
func (c *Client) offersCursor(ctx context.Context) (bool, error) {
	status, body, err := c.get(ctx, "/ServiceProviderConfig")
	if err != nil {
		return false, err
	}
	var offered struct {
		Pagination struct {
			Cursor bool `json:"cursor"`
		} `json:"pagination"`
	}
	return status == http.StatusOK && json.Unmarshal(body, &offered) == nil && offered.Pagination.Cursor, nil
}

func (c *Client) eachByIndex(ctx context.Context, fn func([]userlist.User) error) error {
	previous := ""
	for start := 1; ; {
		page, err := c.page(ctx, url.Values{
			"startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(pageSize)}, "attributes": {c.attributes()},
		})
		if err != nil {
			return err
		}
		if page.TotalResults == nil {
			return fmt.Errorf("%w: a list without a total", userlist.ErrAnswer)
		}
		// A provider that pays no heed to startIndex repeats its first page, and
		// the count would seem complete.
		if page.StartIndex != nil && *page.StartIndex != start && len(page.Resources) > 0 {
			return fmt.Errorf("%w: a page that was not asked for", userlist.ErrAnswer)
		}
		if err := c.hand(page, &previous, fn); err != nil {
			return err
		}
		start += len(page.Resources)
		switch {
		case start > *page.TotalResults:
			return nil
		case len(page.Resources) == 0:
			return fmt.Errorf("%w: %d of %d", userlist.ErrIncomplete, start-1, *page.TotalResults)
		}
	}
}

func (c *Client) eachByCursor(ctx context.Context, fn func([]userlist.User) error) error {
	previous, n := "", 0
	for cursor := ""; ; {
		// An empty cursor asks for the first page (RFC 9865, section 2.1).
		page, err := c.page(ctx, url.Values{"cursor": {cursor}, "count": {strconv.Itoa(pageSize)}, "attributes": {c.attributes()}})
		if err != nil {
			return err
		}
		if err := c.hand(page, &previous, fn); err != nil {
			return err
		}
		n += len(page.Resources)
		switch {
		case page.NextCursor == "" && page.TotalResults != nil && n < *page.TotalResults:
			return fmt.Errorf("%w: %d of %d", userlist.ErrIncomplete, n, *page.TotalResults)
		case page.NextCursor == "":
			return nil
		case page.NextCursor == cursor:
			return fmt.Errorf("%w: the list does not move on", userlist.ErrAnswer)
		}
		cursor = page.NextCursor
	}
}

// hand passes a page on, unless it is the one before once more.
func (c *Client) hand(page list, previous *string, fn func([]userlist.User) error) error {
	users := make([]userlist.User, len(page.Resources))
	for i, r := range page.Resources {
		var err error
		if users[i], err = c.user(r); err != nil {
			return err
		}
	}
	if len(users) == 0 {
		return nil
	}
	if users[0].ID == *previous {
		return fmt.Errorf("%w: the same page again", userlist.ErrAnswer)
	}
	*previous = users[0].ID
	return fn(users)
}

func (c *Client) page(ctx context.Context, query url.Values) (list, error) {
	status, body, err := c.get(ctx, "/Users?"+query.Encode())
	if err != nil {
		return list{}, err
	}
	var page list
	if status != http.StatusOK || json.Unmarshal(body, &page) != nil || !slices.Contains(page.Schemas, listSchema) {
		return list{}, fmt.Errorf("%w: status %d", userlist.ErrAnswer, status)
	}
	return page, nil
}
