package api

import "github.com/google/uuid"

// EventOrderCanceled is the type of the event, which is also its NATS subject.
const EventOrderCanceled = "orders.v1.order.canceled"

// OrderCanceled is the event's data.
type OrderCanceled struct {
	OrderID uuid.UUID `json:"order_id"`
	Version int64     `json:"version"`
}
