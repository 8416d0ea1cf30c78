-- +goose Up
-- The books know invoices, not people.
CREATE TABLE ledger_transactions (
    id         uuid        NOT NULL CONSTRAINT ledger_transactions_pkey PRIMARY KEY,
    invoice_id uuid        NOT NULL CONSTRAINT ledger_transactions_invoice REFERENCES invoices (id),
    kind       text        NOT NULL CONSTRAINT ledger_transactions_kind_known CHECK (kind IN ('invoice', 'payment', 'refund', 'void')),
    currency   text        NOT NULL CONSTRAINT ledger_transactions_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    posted_at  timestamptz NOT NULL
);
CREATE INDEX ledger_transactions_of_invoice ON ledger_transactions (invoice_id);

CREATE TABLE ledger_entries (
    transaction_id uuid   NOT NULL CONSTRAINT ledger_entries_transaction REFERENCES ledger_transactions (id),
    account        text   NOT NULL CONSTRAINT ledger_entries_account_known CHECK (account IN ('receivable', 'revenue', 'cash', 'refunds')),
    -- Debits are positive, credits negative.
    amount_minor   bigint NOT NULL CONSTRAINT ledger_entries_amount_range CHECK (
        amount_minor <> 0 AND amount_minor BETWEEN -1000000000000 AND 1000000000000),
    CONSTRAINT ledger_entries_account_once PRIMARY KEY (transaction_id, account)
);

-- Deferred to the commit, when all entries are there. A transaction without
-- entries fails as well: its sum is null. Both tables carry the trigger, so
-- neither a missing nor a late entry gets through.
-- +goose StatementBegin
CREATE FUNCTION ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    checked uuid;
BEGIN
    IF TG_TABLE_NAME = 'ledger_entries' THEN
        checked := NEW.transaction_id;
    ELSE
        checked := NEW.id;
    END IF;
    IF (SELECT sum(amount_minor) FROM ledger_entries WHERE transaction_id = checked) IS DISTINCT FROM 0 THEN
        RAISE EXCEPTION 'ledger transaction does not sum to zero'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_balanced', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER ledger_transactions_balanced AFTER INSERT ON ledger_transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_check_balance();
CREATE CONSTRAINT TRIGGER ledger_entries_balanced AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_check_balance();

-- Books are corrected by another posting, never by changing one.
-- +goose StatementBegin
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_append_only', TABLE = TG_TABLE_NAME;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER ledger_transactions_append_only BEFORE UPDATE OR DELETE ON ledger_transactions
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();

-- +goose Down
DROP TABLE ledger_entries;
DROP TABLE ledger_transactions;
DROP FUNCTION ledger_check_balance();
DROP FUNCTION ledger_refuse_change();
