package main

import "bytes"

// requestFields are as long as those that our gateway gives a request. A test of the
// gateway's peers compares them.
const requestFields = "X-Request-Id: 3f2504e0-4f89-41d3-9a0c-0305e82c3301\r\n" +
	"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n" +
	"X-Forwarded-Host: 127.0.0.1:12345\r\n" +
	"X-Forwarded-For: 127.0.0.1\r\n"

// answerFields are as long as those that our gateway gives an answer of the origin to
// a caller within the limits.
const answerFields = "Vary: Accept-Encoding\r\n" +
	"X-Request-Id: 3f2504e0-4f89-41d3-9a0c-0305e82c3301\r\n" +
	"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n" +
	"X-Content-Type-Options: nosniff\r\n" +
	"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n" +
	"Referrer-Policy: no-referrer\r\n" +
	"Ratelimit-Limit: 1000000\r\n" +
	"Ratelimit-Remaining: 999999\r\n" +
	"Ratelimit-Reset: 1\r\n"

var headerEnd = []byte("\r\n\r\n")

// appendRequest writes a request with the fields of requests to b. It is not ok for what is
// not one whole request without a body.
func appendRequest(b, message []byte) (extended []byte, ok bool) {
	end := bytes.Index(message, headerEnd)
	if end < 0 || end+len(headerEnd) != len(message) {
		return b, false
	}
	return insert(b, message, end, requestFields), true
}

// appendAnswer writes an answer with the fields of answers to b. It is not ok for what does
// not begin with a whole header. What is missing of a body comes later, as something
// without a header.
func appendAnswer(b, message []byte) (extended []byte, ok bool) {
	end := bytes.Index(message, headerEnd)
	if end < 0 {
		return b, false
	}
	return insert(b, message, end, answerFields), true
}

// insert writes a message to b with more fields after its last one, which ends at end.
func insert(b, message []byte, end int, fields string) []byte {
	next := end + len("\r\n")
	return append(append(append(b, message[:next]...), fields...), message[next:]...)
}
