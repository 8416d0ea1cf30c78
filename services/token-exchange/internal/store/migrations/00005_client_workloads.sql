-- +goose Up
-- Which client a workload is: one, or registering it fails. A trigger keeps it in
-- step with the registrations, so that no way to write one can forget to.
CREATE TABLE client_workloads (
    issuer    text NOT NULL,
    workload  text NOT NULL, -- the subject of its tokens: a program's, never a user's
    client_id text NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    CONSTRAINT client_workloads_one_client PRIMARY KEY (issuer, workload)
);
CREATE INDEX client_workloads_client_id ON client_workloads (client_id);

-- One that several clients had was refused to all of them, and stays so.
INSERT INTO client_workloads (issuer, workload, client_id)
SELECT w ->> 'issuer', w ->> 'subject', min(c.id)
FROM clients c, jsonb_array_elements(coalesce(c.spec -> 'workloads', '[]')) w
GROUP BY 1, 2
HAVING count(*) = 1;
DROP INDEX clients_workloads;

-- +goose StatementBegin
CREATE FUNCTION bind_workloads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM client_workloads WHERE client_id = NEW.id;
    INSERT INTO client_workloads (issuer, workload, client_id)
    SELECT w ->> 'issuer', w ->> 'subject', NEW.id FROM jsonb_array_elements(coalesce(NEW.spec -> 'workloads', '[]')) w;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER clients_bind_workloads AFTER INSERT OR UPDATE OF spec ON clients
    FOR EACH ROW EXECUTE FUNCTION bind_workloads();

-- +goose Down
DROP TRIGGER clients_bind_workloads ON clients;
DROP FUNCTION bind_workloads();
CREATE INDEX clients_workloads ON clients USING gin ((spec -> 'workloads') jsonb_path_ops);
DROP TABLE client_workloads;
