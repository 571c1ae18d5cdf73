-- Consent: the ledger keeps its own time and its own chain, what holds now follows it in every
-- statement, and one kind of message stands outside the consent gate (rulings B3, B6, B15).

-- Every line gets the database's time and the line before it, whatever the writer says; a clock
-- that steps back never puts a line before its predecessor.
-- (A plan made while the ledger was small would read it whole for every line: never by sequence.)
CREATE FUNCTION consent_event_chain() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    v_previous record;
BEGIN
    SELECT e.id, e.at INTO v_previous FROM consent_event e
    WHERE e.business_id = NEW.business_id AND e.customer_id = NEW.customer_id
      AND e.channel = NEW.channel AND e.purpose = NEW.purpose
    ORDER BY e.at DESC, e.id DESC LIMIT 1;
    NEW.at := greatest(clock_timestamp(), v_previous.at + interval '1 microsecond');
    NEW.created_at := NEW.at;
    NEW.previous_id := v_previous.id;
    RETURN NEW;
END $$;
CREATE TRIGGER consent_event_chain BEFORE INSERT ON consent_event
    FOR EACH ROW EXECUTE FUNCTION consent_event_chain();

-- What a ledger leads to: its lines, one after the other.
CREATE TYPE consent_standing AS (
    opt_in boolean, opt_in_at timestamptz, revoked_at timestamptz, source text,
    proof_reference text, text_version text, locale text, last_event_id uuid);
CREATE FUNCTION consent_step(s consent_standing, e consent_event) RETURNS consent_standing
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF e.action = 'grant' THEN
        -- A yes that is older than the no changes nothing.
        IF s.revoked_at IS NOT NULL AND e.occurred_at <= s.revoked_at THEN
            RETURN s;
        END IF;
        RETURN ROW(true, e.occurred_at, NULL, e.source, e.proof_reference, e.text_version,
                   e.locale, e.id)::consent_standing;
    END IF;
    -- A no that comes late still counts, but never as older than the yes it ends.
    s.opt_in := false;
    s.revoked_at := greatest(e.occurred_at, s.opt_in_at);
    s.source := coalesce(s.source, e.source);
    s.last_event_id := e.id;
    RETURN s;
END $$;
CREATE AGGREGATE consent_fold(consent_event) (SFUNC = consent_step, STYPE = consent_standing);

-- Where what holds now and the ledger say different things, for these businesses.
CREATE FUNCTION consent_differences(p_businesses uuid[])
RETURNS TABLE (business_id uuid, customer_id uuid, channel text, purpose text, fault text)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(c.business_id, t.business_id), coalesce(c.customer_id, t.customer_id),
        coalesce(c.channel, t.channel)::text, coalesce(c.purpose, t.purpose)::text,
        CASE WHEN t.business_id IS NULL THEN 'no-line' WHEN c.id IS NULL THEN 'no-state'
             ELSE 'unequal' END
    FROM (SELECT * FROM customer_consents x WHERE x.business_id = ANY (p_businesses)) c
    FULL JOIN (
        SELECT e.business_id, e.customer_id, e.channel, e.purpose,
            consent_fold(e ORDER BY e.at, e.id) AS standing
        FROM consent_event e WHERE e.business_id = ANY (p_businesses) GROUP BY 1, 2, 3, 4
    ) t ON t.business_id = c.business_id AND t.customer_id = c.customer_id
        AND t.channel = c.channel AND t.purpose = c.purpose
    WHERE (c.opt_in, c.opt_in_at, c.revoked_at, c.source::text, c.proof_reference::text,
           c.text_version::text, c.locale::text, c.last_event_id) IS DISTINCT FROM
        ((t.standing).opt_in, (t.standing).opt_in_at, (t.standing).revoked_at,
         (t.standing).source, (t.standing).proof_reference, (t.standing).text_version,
         (t.standing).locale, (t.standing).last_event_id)
$$;

-- A process may change what holds now only to what the ledger says: a direct change is refused.
CREATE FUNCTION consent_follows_ledger() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    v_changed uuid[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.id) INTO v_changed FROM new_rows n;
    ELSE
        SELECT array_agg(n.id) INTO v_changed FROM new_rows n LEFT JOIN old_rows o ON o.id = n.id
        WHERE (o.business_id, o.customer_id, o.channel, o.purpose, o.opt_in, o.opt_in_at,
               o.revoked_at, o.source, o.proof_reference, o.text_version, o.locale,
               o.last_event_id) IS DISTINCT FROM
            (n.business_id, n.customer_id, n.channel, n.purpose, n.opt_in, n.opt_in_at,
             n.revoked_at, n.source, n.proof_reference, n.text_version, n.locale,
             n.last_event_id);
    END IF;
    IF EXISTS (
        SELECT FROM customer_consents c
        CROSS JOIN LATERAL (
            SELECT consent_fold(e ORDER BY e.at, e.id) AS standing FROM consent_event e
            WHERE e.business_id = c.business_id AND e.customer_id = c.customer_id
              AND e.channel = c.channel AND e.purpose = c.purpose) t
        WHERE c.id = ANY (v_changed)
          AND (c.opt_in, c.opt_in_at, c.revoked_at, c.source::text, c.proof_reference::text,
               c.text_version::text, c.locale::text, c.last_event_id) IS DISTINCT FROM
            ((t.standing).opt_in, (t.standing).opt_in_at, (t.standing).revoked_at,
             (t.standing).source, (t.standing).proof_reference, (t.standing).text_version,
             (t.standing).locale, (t.standing).last_event_id)) THEN
        RAISE EXCEPTION 'a consent changes only together with its ledger'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER consent_inserted AFTER INSERT ON customer_consents
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (current_user IN (
        'patchbay_app', 'patchbay_batch', 'patchbay_platform', 'patchbay_engine'))
    EXECUTE FUNCTION consent_follows_ledger();
CREATE TRIGGER consent_updated AFTER UPDATE ON customer_consents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (current_user IN (
        'patchbay_app', 'patchbay_batch', 'patchbay_platform', 'patchbay_engine'))
    EXECUTE FUNCTION consent_follows_ledger();

CREATE TRIGGER consent_kept BEFORE DELETE ON customer_consents FOR EACH ROW
    WHEN (current_user IN (
        'patchbay_app', 'patchbay_batch', 'patchbay_platform', 'patchbay_engine'))
    EXECUTE FUNCTION refuse_ledger_change();

-- Evidence: the line of the ledger by which each message began last, and whether it held then. A
-- revocation counts from its commit: one that was still waiting for this very row at that moment
-- (five seconds at most, the lock timeout) does not make the message wrong.
CREATE FUNCTION consent_evidence(p_business uuid, p_notifications uuid[])
RETURNS TABLE (
    notification_id uuid, begun_at timestamptz, purpose text, line uuid, valid boolean,
    place integer)
LANGUAGE sql STABLE AS $$
    SELECT o.id, a.begun_at, w.purpose, e.id, coalesce(
            CASE WHEN o.kind = 'confirmation' THEN e.action = 'revoke' AND e.id = o.in_reply_to
                ELSE e.action = 'grant' AND e.purpose = w.purpose END
            AND e.at <= a.begun_at AND (o.kind = 'confirmation' OR NOT EXISTS (
                SELECT FROM consent_event r
                WHERE r.business_id = e.business_id AND r.customer_id = e.customer_id
                  AND r.channel = e.channel AND r.purpose = e.purpose AND r.action = 'revoke'
                  AND r.at > e.at AND r.at < a.begun_at - interval '6 s')), false),
        (SELECT count(*)::int FROM consent_event x
         WHERE x.business_id = e.business_id AND x.customer_id = e.customer_id
           AND x.channel = e.channel AND x.purpose = e.purpose AND x.at <= e.at)
    FROM notification_outbox o
    CROSS JOIN LATERAL (
        SELECT x.begun_at, x.consent_event_id, x.marketing_event_id FROM send_attempt x
        WHERE x.business_id = o.business_id AND x.notification_id = o.id
        ORDER BY x.number DESC LIMIT 1) a
    CROSS JOIN LATERAL (
        SELECT 'transactional' AS purpose, a.consent_event_id AS line UNION ALL
        SELECT 'marketing', a.marketing_event_id WHERE a.marketing_event_id IS NOT NULL
            OR (o.purpose = 'marketing' AND o.kind <> 'confirmation')) w
    LEFT JOIN consent_event e ON e.business_id = o.business_id AND e.id = w.line
        AND e.customer_id = o.customer_id AND e.channel = o.channel
    WHERE o.business_id = p_business AND o.id = ANY (p_notifications)
$$;

-- The confirmation of a STOP: free text, no template, no booking, once per revocation.
ALTER TABLE notification_outbox
    DROP CONSTRAINT outbox_kind_check,
    ADD CONSTRAINT outbox_kind_check CHECK (kind IN ('template', 'text', 'confirmation')),
    ADD CONSTRAINT outbox_confirmation_check CHECK (kind <> 'confirmation' OR (
        in_reply_to IS NOT NULL AND useful_until IS NOT NULL AND template_name = ''
        AND booking_ref IS NULL AND event_id IS NULL));
CREATE UNIQUE INDEX outbox_confirmation ON notification_outbox (business_id, in_reply_to)
    WHERE kind = 'confirmation';

-- Begin, as before, and: an opt-out by any address of a person stops all of them; a confirmation
-- of a STOP goes out on the strength of the line that the STOP wrote, and on nothing else. Each
-- attempt keeps the line it relied on.
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
            -- The one exception of the consent gate, and what it hangs on.
            WHEN o.kind = 'confirmation' THEN
                CASE WHEN r.id IS NULL THEN 'no:consent-missing' ELSE 'go' END
            WHEN u.id IS NOT NULL THEN 'no:address-suppressed'
            WHEN c.id IS NULL THEN 'no:consent-missing'
            WHEN NOT c.opt_in OR c.revoked_at IS NOT NULL THEN 'no:consent-revoked'
            WHEN (o.purpose = 'marketing' OR t.category = 'marketing')
                 AND NOT coalesce(m.opt_in AND m.revoked_at IS NULL, false)
                 THEN 'no:marketing-consent-missing'
            ELSE 'go' END AS verdict,
            n.id AS connection_id, n.account_ref, a.kind AS address_kind, a.address_sealed,
            a.address_hash, t.version AS template_version, t.body AS template_body, t.category,
            t.parameter_format, t.parameters, b.name AS business_name,
            coalesce(r.id, c.last_event_id) AS consent_line,
            CASE WHEN o.purpose = 'marketing' OR t.category = 'marketing'
                 THEN m.last_event_id END AS marketing_line
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
        -- An opt-out by any of a person's addresses stops all of them.
        LEFT JOIN LATERAL (
            SELECT x.id FROM customer_address y
            JOIN suppression x ON x.business_id = y.business_id AND x.channel = o.channel
                AND x.address_hash = y.address_hash
            WHERE y.business_id = o.business_id AND y.customer_id = o.customer_id LIMIT 1
        ) u ON true
        LEFT JOIN consent_event r ON o.kind = 'confirmation' AND r.business_id = o.business_id
            AND r.id = o.in_reply_to AND r.customer_id = o.customer_id AND r.channel = o.channel
            AND r.action = 'revoke' AND r.proof ->> 'reply' IS NOT NULL
            AND o.useful_until <= r.occurred_at + interval '24 h'
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
            s.template_body, s.category, s.parameter_format, s.parameters, s.business_name,
            s.consent_line, s.marketing_line
    ), numbered AS (
        SELECT m.id, 1 + (SELECT count(*) FROM send_attempt x
                          WHERE x.business_id = m.business_id AND x.notification_id = m.id)::int
               AS number
        FROM moved m
    ), attempts AS (
        INSERT INTO send_attempt (
            id, business_id, notification_id, number, lease_token, begun_at, outcome,
            consent_event_id, marketing_event_id)
        SELECT gen_random_uuid(), m.business_id, m.id, n.number, p_token, v_now, 'begun',
            m.consent_line, m.marketing_line
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
