package gen

import "github.com/shadowless/shadowless/tests/faq"

// questions are the comments of the tests that answer them.
func questions() []byte {
	page, err := faq.Document()
	if err != nil {
		panic(err) // the sources are a part of this program
	}
	return page
}
