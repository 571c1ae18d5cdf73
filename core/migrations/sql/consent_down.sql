-- Back to the consent of before; the ledger's lines stay.
DROP INDEX outbox_confirmation;
ALTER TABLE notification_outbox
    DROP CONSTRAINT outbox_confirmation_check, NO FORCE ROW LEVEL SECURITY;
-- What was a confirmation is a plain text again; one that waits is judged like any other.
UPDATE notification_outbox SET kind = 'text' WHERE kind = 'confirmation';
ALTER TABLE notification_outbox
    FORCE ROW LEVEL SECURITY,
    DROP CONSTRAINT outbox_kind_check,
    ADD CONSTRAINT outbox_kind_check CHECK (kind IN ('template', 'text'));
DROP FUNCTION consent_evidence(uuid, uuid[]);
DROP TRIGGER consent_kept ON customer_consents;
DROP TRIGGER consent_updated ON customer_consents;
DROP TRIGGER consent_inserted ON customer_consents;
DROP FUNCTION consent_follows_ledger();
DROP FUNCTION consent_differences(uuid[]);
DROP AGGREGATE consent_fold(consent_event);
DROP FUNCTION consent_step(consent_standing, consent_event);
DROP TYPE consent_standing;
DROP TRIGGER consent_event_chain ON consent_event;
DROP FUNCTION consent_event_chain();

CREATE OR REPLACE FUNCTION outbox_begin(p_ids uuid[], p_token uuid, p_patience interval, p_margin interval)
RETURNS TABLE (
    id uuid, business_id uuid, customer_id uuid, channel text, verdict text,
    attempt integer, retry_count integer, kind text, purpose text,
    account_ref text, address_id uuid, address_kind text, address_sealed bytea, address_hash bytea,
    template_name text, language_code text, template_version integer, template_body text,
    category text, parameter_format text, parameters text[],
    payload_json jsonb, variables_sealed bytea, lease_until timestamptz,
    business_name text, event_type text, booking_ref text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_mine uuid[];
BEGIN
    SELECT array_agg(s.id) INTO v_mine FROM (
        SELECT o.id FROM notification_outbox o
        WHERE o.id = ANY (p_ids) AND o.lease_token = p_token AND o.phase = 'leased'
        ORDER BY o.id FOR NO KEY UPDATE) s;
    IF v_mine IS NULL THEN
        RETURN;
    END IF;
    v_now := clock_timestamp();

    RETURN QUERY
    WITH seen AS MATERIALIZED (
        SELECT o.id, CASE
            WHEN o.lease_until < v_now + p_margin OR o.claimed_at < v_now - p_patience THEN 'late'
            WHEN b.killed_at IS NOT NULL OR l.state IS DISTINCT FROM 'active' THEN 'hold'
            WHEN n.id IS NULL THEN 'hold'
            -- Direct messages follow no rule, so no plan of a booking can make them old.
            WHEN o.rule_key <> '' AND EXISTS (
                SELECT FROM booking_plan p
                WHERE p.business_id = o.business_id AND p.booking_ref = o.booking_ref
                  AND p.generation > o.generation) THEN 'no:superseded'
            WHEN o.useful_until IS NOT NULL AND o.useful_until <= v_now THEN 'no:expired'
            WHEN a.id IS NULL OR a.address_sealed IS NULL THEN 'no:address-missing'
            WHEN o.kind = 'template' AND t.id IS NULL THEN 'no:template-unknown'
            WHEN o.kind = 'template' AND NOT t.usable THEN 'no:template-not-approved'
            WHEN u.id IS NOT NULL THEN 'no:address-suppressed'
            WHEN c.id IS NULL THEN 'no:consent-missing'
            WHEN NOT c.opt_in OR c.revoked_at IS NOT NULL THEN 'no:consent-revoked'
            WHEN (o.purpose = 'marketing' OR t.category = 'marketing')
                 AND NOT coalesce(m.opt_in AND m.revoked_at IS NULL, false)
                 THEN 'no:marketing-consent-missing'
            ELSE 'go' END AS verdict,
            n.id AS connection_id, n.account_ref, a.kind AS address_kind, a.address_sealed,
            a.address_hash, t.version AS template_version, t.body AS template_body, t.category,
            t.parameter_format, t.parameters, b.name AS business_name
        FROM notification_outbox o
        JOIN business b ON b.id = o.business_id
        LEFT JOIN lane l ON l.business_id = o.business_id AND l.channel = o.channel
        LEFT JOIN LATERAL (
            SELECT x.id, x.account_ref FROM channel_connection x
            WHERE x.business_id = o.business_id AND x.channel = o.channel AND x.state = 'active'
            ORDER BY (x.id = o.connection_id) DESC NULLS LAST, x.is_default DESC, x.id LIMIT 1
        ) n ON true
        LEFT JOIN customer_address a ON a.business_id = o.business_id AND a.id = o.address_id
        LEFT JOIN channel_template t ON t.business_id = o.business_id AND t.channel = o.channel
            AND t.name = o.template_name AND t.language = o.language_code
        LEFT JOIN suppression u ON u.business_id = o.business_id AND u.channel = o.channel
            AND u.address_hash = a.address_hash
        LEFT JOIN customer_consents c ON c.business_id = o.business_id
            AND c.customer_id = o.customer_id AND c.channel = o.channel
            AND c.purpose = 'transactional'
        LEFT JOIN customer_consents m ON m.business_id = o.business_id
            AND m.customer_id = o.customer_id AND m.channel = o.channel
            AND m.purpose = 'marketing'
        WHERE o.id = ANY (v_mine)
    ), moved AS (
        UPDATE notification_outbox o SET
            phase = CASE WHEN s.verdict = 'go' THEN 'in_flight'
                         WHEN s.verdict IN ('late', 'hold') THEN 'waiting' ELSE 'final' END,
            status = CASE WHEN s.verdict IN ('go', 'late', 'hold') THEN o.status
                          WHEN s.verdict LIKE 'no:template%' THEN 'failed' ELSE 'canceled' END,
            reason = CASE WHEN s.verdict IN ('go', 'late') THEN ''
                          WHEN s.verdict = 'hold' THEN 'held' ELSE substr(s.verdict, 4) END,
            failed_at = CASE WHEN s.verdict LIKE 'no:template%' THEN v_now ELSE o.failed_at END,
            lease_token = CASE WHEN s.verdict = 'go' THEN o.lease_token END,
            lease_until = CASE WHEN s.verdict = 'go' THEN o.lease_until END,
            next_retry_at = CASE WHEN s.verdict LIKE 'no:%' THEN NULL ELSE o.next_retry_at END,
            begun_at = CASE WHEN s.verdict = 'go' THEN v_now ELSE o.begun_at END,
            connection_id = coalesce(s.connection_id, o.connection_id),
            template_version = coalesce(s.template_version, o.template_version),
            sequence = o.sequence + CASE WHEN s.verdict LIKE 'no:%' THEN 1 ELSE 0 END,
            updated_at = v_now
        FROM seen s WHERE o.id = s.id
        RETURNING o.*, s.verdict, s.account_ref, s.address_kind, s.address_sealed, s.address_hash,
            s.template_body, s.category, s.parameter_format, s.parameters, s.business_name
    ), numbered AS (
        SELECT m.id, 1 + (SELECT count(*) FROM send_attempt x
                          WHERE x.business_id = m.business_id AND x.notification_id = m.id)::int
               AS number
        FROM moved m
    ), attempts AS (
        INSERT INTO send_attempt (
            id, business_id, notification_id, number, lease_token, begun_at, outcome)
        SELECT gen_random_uuid(), m.business_id, m.id, n.number, p_token, v_now, 'begun'
        FROM moved m JOIN numbered n ON n.id = m.id WHERE m.verdict = 'go'
    )
    SELECT m.id, m.business_id, m.customer_id, m.channel::text, m.verdict, n.number,
        m.retry_count, m.kind::text, m.purpose::text, m.account_ref::text, m.address_id,
        m.address_kind::text, m.address_sealed, m.address_hash, m.template_name::text,
        m.language_code::text, m.template_version, m.template_body, m.category::text,
        m.parameter_format::text, m.parameters::text[], m.payload_json, m.variables_sealed,
        m.lease_until, m.business_name::text, m.event_type::text, m.booking_ref::text
    FROM moved m JOIN numbered n ON n.id = m.id;
END $$;
