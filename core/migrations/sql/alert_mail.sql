-- Mail about alerts. What is due stands on the alert itself, written in the transaction that
-- raised or ended it; mails are made from that, counted together, and sent outside of any.

ALTER TABLE alert_mail
    ADD CONSTRAINT alert_mail_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT alert_mail_state_check
        CHECK (state IN ('waiting', 'leased', 'sent', 'failed')),
    ADD CONSTRAINT alert_mail_lease_check
        CHECK ((state = 'leased') = (lease_token IS NOT NULL AND lease_until IS NOT NULL));
CREATE INDEX alert_mail_waiting ON alert_mail (next_at) WHERE state = 'waiting';
CREATE INDEX alert_mail_leased ON alert_mail (lease_until) WHERE state = 'leased';
CREATE INDEX alert_mail_kind ON alert_mail (kind, created_at);
CREATE INDEX alert_mail_age ON alert_mail (created_at);

-- Make mails of what is due: one for each person, kind and business, and none of that kind and
-- business within p_window of the one before. News is let grow for p_calm, so that the beginning
-- of a storm is one mail; what nobody could be written in p_patience is passed over.
CREATE FUNCTION alert_mail_gather(
    p_silent text[], p_window interval, p_calm interval, p_patience interval)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_made bigint;
BEGIN
    UPDATE alert a SET mail_due = false
    FROM (SELECT x.id FROM alert x WHERE x.mail_due
            AND (coalesce(x.resolved_at, x.created_at) < v_now - p_patience
                 OR x.kind = ANY (p_silent))
          ORDER BY x.id FOR NO KEY UPDATE SKIP LOCKED) late
    WHERE a.id = late.id;
    WITH ripe AS MATERIALIZED (
        SELECT x.business_id, x.kind FROM alert x WHERE x.mail_due GROUP BY 1, 2
        HAVING min(coalesce(x.resolved_at, x.created_at)) <= v_now - p_calm
    ), due AS MATERIALIZED (
        SELECT a.id, a.business_id, a.kind, a.subject, a.arguments, a.created_at, a.state,
            a.raise_mailed
        FROM alert a JOIN ripe r ON r.kind = a.kind
            AND r.business_id IS NOT DISTINCT FROM a.business_id
        WHERE a.mail_due AND NOT EXISTS (
            SELECT FROM alert_mail m WHERE m.kind = a.kind
              AND m.business_id IS NOT DISTINCT FROM a.business_id
              AND m.created_at > v_now - p_window)
        ORDER BY a.id FOR NO KEY UPDATE OF a SKIP LOCKED
    ), told AS (
        UPDATE alert a SET mail_due = false, raise_mailed = true FROM due d WHERE a.id = d.id
    ), grouped AS (
        SELECT d.business_id, d.kind,
            count(*) FILTER (WHERE NOT d.raise_mailed) AS raised,
            count(*) FILTER (WHERE d.state = 'resolved') AS resolved,
            (array_agg(d.subject ORDER BY d.id) FILTER (WHERE d.subject <> ''))[1:10] AS subjects,
            (array_agg(d.arguments ORDER BY d.id DESC))[1] AS arguments,
            min(d.created_at) AS since_at
        FROM due d GROUP BY 1, 2
    )
    INSERT INTO alert_mail (id, business_id, user_id, kind, language, raised, resolved, subjects,
        arguments, since_at, next_at, created_at)
    SELECT callback_new_id(v_now), g.business_id, u.id, g.kind,
        CASE WHEN l.own IN ('en', 'es', 'it') THEN l.own
             WHEN l.theirs IN ('en', 'es', 'it') THEN l.theirs ELSE 'en' END,
        g.raised, g.resolved, coalesce(g.subjects, '{}'), g.arguments, g.since_at, v_now, v_now
    FROM grouped g
    JOIN membership m ON m.business_id IS NOT DISTINCT FROM g.business_id
        AND m.role = ANY (CASE WHEN g.business_id IS NULL THEN ARRAY['platform_admin']
                               ELSE ARRAY['owner', 'manager'] END)
    JOIN app_user u ON u.id = m.user_id AND u.active AND u.disabled_at IS NULL AND u.email <> ''
    LEFT JOIN business b ON b.id = g.business_id
    CROSS JOIN LATERAL (SELECT split_part(replace(u.locale, '_', '-'), '-', 1) AS own,
        split_part(replace(b.default_locale, '_', '-'), '-', 1) AS theirs) l
    ORDER BY g.kind, g.business_id, u.id;
    GET DIAGNOSTICS v_made = ROW_COUNT;
    RETURN v_made;
END $$;

-- Claim due mails. A lease that ended puts its mail back: it may be sent twice, under one id.
CREATE FUNCTION alert_mail_claim(p_limit integer, p_token uuid, p_lease interval)
RETURNS TABLE (id uuid, business_name text, address text, kind text, language text, raised int,
    resolved int, subjects varchar[], arguments jsonb, since_at timestamptz,
    created_at timestamptz, attempt int)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    UPDATE alert_mail m SET state = 'waiting', next_at = v_now, last_error = 'interrupted',
        lease_token = NULL, lease_until = NULL
    FROM (SELECT x.id FROM alert_mail x WHERE x.state = 'leased' AND x.lease_until < v_now
          ORDER BY x.id LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED) ended
    WHERE m.id = ended.id;
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT x.id FROM alert_mail x WHERE x.state = 'waiting' AND x.next_at <= v_now
        ORDER BY x.next_at, x.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE alert_mail m SET state = 'leased', attempt = m.attempt + 1,
            lease_token = p_token, lease_until = v_now + p_lease
        FROM due d WHERE m.id = d.id RETURNING m.*
    )
    SELECT t.id, coalesce(b.name, '')::text,
        CASE WHEN u.active AND u.disabled_at IS NULL AND EXISTS (
            SELECT FROM membership h WHERE h.user_id = t.user_id
              AND h.business_id IS NOT DISTINCT FROM t.business_id) THEN u.email ELSE '' END::text,
        t.kind::text, t.language::text, t.raised, t.resolved, t.subjects, t.arguments,
        t.since_at, t.created_at, t.attempt
    FROM taken t LEFT JOIN app_user u ON u.id = t.user_id
    LEFT JOIN business b ON b.id = t.business_id ORDER BY t.id;
END $$;

-- Record what became of mails, fenced by the lease. Outcomes: sent, retry, failed. What was
-- tried for longer than p_patience has failed. Returns how many were sent and how many failed.
CREATE FUNCTION alert_mail_record(
    p_ids uuid[], p_token uuid, p_outcomes text[], p_errors text[], p_waits interval[],
    p_patience interval, OUT sent bigint, OUT failed bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    WITH told AS MATERIALIZED (
        SELECT * FROM unnest(p_ids, p_outcomes, p_errors, p_waits)
            AS t(id, outcome, error, wait)
    ), moved AS (
        UPDATE alert_mail m SET
            state = CASE WHEN t.outcome = 'sent' THEN 'sent'
                         WHEN t.outcome = 'failed' OR m.created_at + p_patience < v_now + t.wait
                         THEN 'failed' ELSE 'waiting' END,
            next_at = CASE t.outcome WHEN 'retry' THEN v_now + t.wait ELSE m.next_at END,
            ended_at = CASE WHEN t.outcome <> 'retry' OR m.created_at + p_patience < v_now + t.wait
                            THEN v_now END,
            last_error = t.error, lease_token = NULL, lease_until = NULL
        FROM told t
        WHERE m.id = t.id AND m.state = 'leased' AND m.lease_token = p_token
        RETURNING m.state
    )
    SELECT count(*) FILTER (WHERE moved.state = 'sent'),
        count(*) FILTER (WHERE moved.state = 'failed')
    INTO sent, failed FROM moved;
END $$;
