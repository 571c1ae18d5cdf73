-- The outbox: begin, record, sweep, and the provider's news (rulings B3, B4, B5, B9).

-- Begin: the last look before a message leaves. Locks its rows in id order, which is what a
-- revocation or a cancel waits for, then reads consent, template, lane and business without locks.
-- The caller commits before the first byte. Returns one row per message with its verdict:
--   go         in flight now; everything needed to send is in the row
--   late       claimed too long ago, or too little of the lease is left: back to waiting
--   hold       the lane, the connection or the business stands still: back to waiting
--   no:<code>  final, with the reason
CREATE FUNCTION outbox_begin(p_ids uuid[], p_token uuid, p_patience interval, p_margin interval)
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

-- Record: what became of a batch of sends. Fenced by the lease token: a row that was taken away
-- meanwhile is left alone, except that proof of acceptance settles an unconfirmed one.
-- Outcomes: accepted, retry, wait (not counted), failed, unknown.
CREATE FUNCTION outbox_record(
    p_token uuid, p_ids uuid[], p_outcomes text[], p_reasons text[], p_codes text[],
    p_message_ids text[], p_hashes bytea[], p_delays interval[])
RETURNS TABLE (id uuid, business_id uuid, channel text, applied boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
BEGIN
    PERFORM 1 FROM notification_outbox o WHERE o.id = ANY (p_ids) ORDER BY o.id FOR NO KEY UPDATE;
    v_now := clock_timestamp();
    RETURN QUERY
    WITH told AS MATERIALIZED (
        SELECT * FROM unnest(
            p_ids, p_outcomes, p_reasons, p_codes, p_message_ids, p_hashes, p_delays)
            AS t(id, outcome, reason, code, message_id, hash, delay)
    ), attempted AS (
        UPDATE send_attempt a
        SET outcome = t.outcome, error_code = nullif(t.code, ''), ended_at = v_now,
            provider_message_hash = t.hash
        FROM told t WHERE a.notification_id = t.id AND a.lease_token = p_token
    ), moved AS (
        UPDATE notification_outbox o SET
            -- News that came before our own record has settled the matter already.
            phase = CASE WHEN o.status <> 'queued' THEN 'final'
                         WHEN t.outcome IN ('retry', 'wait') THEN 'waiting'
                         WHEN t.outcome = 'unknown' THEN 'unconfirmed' ELSE 'final' END,
            status = CASE WHEN t.outcome = 'accepted' AND o.status = 'queued' THEN 'sent'
                          WHEN t.outcome = 'failed' AND o.status = 'queued' THEN 'failed'
                          ELSE o.status END,
            reason = CASE WHEN o.status = 'queued' THEN t.reason ELSE o.reason END,
            error_code = CASE WHEN t.outcome = 'accepted' THEN o.error_code
                              ELSE coalesce(nullif(t.code, ''), o.error_code) END,
            retry_count = o.retry_count + CASE WHEN t.outcome = 'retry' THEN 1 ELSE 0 END,
            next_retry_at = CASE WHEN t.outcome IN ('retry', 'wait') AND o.status = 'queued'
                                 THEN v_now + t.delay END,
            provider_message_id = coalesce(nullif(t.message_id, ''), o.provider_message_id),
            provider_message_hash = coalesce(t.hash, o.provider_message_hash),
            sent_at = CASE WHEN t.outcome = 'accepted' THEN least(o.sent_at, v_now)
                           ELSE o.sent_at END,
            failed_at = CASE WHEN t.outcome = 'failed' AND o.status = 'queued' THEN v_now
                             ELSE o.failed_at END,
            lease_token = NULL, lease_until = NULL, sequence = o.sequence + 1, updated_at = v_now
        FROM told t
        WHERE o.id = t.id AND (
            (o.phase = 'in_flight' AND o.lease_token = p_token)
            OR (o.phase = 'unconfirmed' AND t.outcome = 'accepted'))
        RETURNING o.id, o.business_id, o.channel, t.outcome
    ), counted AS (
        INSERT INTO lane_health AS h (id, business_id, channel, outcomes, failures, updated_at)
        SELECT gen_random_uuid(), m.business_id, m.channel, count(*)::int,
               count(*) FILTER (WHERE m.outcome = 'failed'), v_now
        FROM moved m WHERE m.outcome IN ('accepted', 'failed') GROUP BY m.business_id, m.channel
        ORDER BY m.business_id, m.channel
        ON CONFLICT (business_id, channel) DO UPDATE SET
            outcomes = h.outcomes + excluded.outcomes, failures = h.failures + excluded.failures,
            updated_at = v_now
    )
    SELECT t.id, m.business_id, m.channel::text, m.id IS NOT NULL
    FROM told t LEFT JOIN moved m ON m.id = t.id;
END $$;

-- Sweep: leases that ended. Not begun: back in the queue, safely. Begun: unconfirmed, never
-- blindly repeated. Waiting rows that are no longer useful are canceled.
CREATE FUNCTION outbox_sweep(p_limit integer)
RETURNS TABLE (id uuid, business_id uuid, channel text, became text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH ended AS MATERIALIZED (
        SELECT o.id, o.phase FROM notification_outbox o
        WHERE o.phase IN ('leased', 'in_flight') AND o.lease_until < v_now
        ORDER BY o.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    ), useless AS MATERIALIZED (
        SELECT o.id, o.phase FROM notification_outbox o
        WHERE o.phase = 'waiting' AND o.useful_until <= v_now
        ORDER BY o.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE notification_outbox o SET
            phase = CASE e.phase WHEN 'leased' THEN 'waiting'
                                 WHEN 'in_flight' THEN CASE WHEN o.status = 'queued'
                                      THEN 'unconfirmed' ELSE 'final' END
                                 ELSE 'final' END,
            status = CASE e.phase WHEN 'waiting' THEN 'canceled' ELSE o.status END,
            reason = CASE e.phase WHEN 'waiting' THEN 'expired'
                                  WHEN 'in_flight' THEN 'unconfirmed' ELSE o.reason END,
            next_retry_at = CASE e.phase WHEN 'leased' THEN o.next_retry_at END,
            lease_token = NULL, lease_until = NULL, updated_at = v_now,
            sequence = o.sequence + CASE WHEN e.phase = 'leased' THEN 0 ELSE 1 END
        FROM (SELECT * FROM ended UNION ALL SELECT * FROM useless) e
        WHERE o.id = e.id
        RETURNING o.id, o.business_id, o.channel, o.phase
    ), doubted AS (
        UPDATE send_attempt a SET outcome = 'unknown', ended_at = v_now
        FROM moved m WHERE m.phase = 'unconfirmed' AND a.notification_id = m.id
          AND a.outcome = 'begun'
    )
    SELECT m.id, m.business_id, m.channel::text, m.phase::text FROM moved m;
END $$;

-- Give up on unconfirmed sends of channels whose provider cannot settle them (rulings B5).
CREATE FUNCTION outbox_close_unconfirmed(p_channels text[], p_grace interval)
RETURNS TABLE (id uuid, business_id uuid, channel text)
LANGUAGE sql VOLATILE AS $$
    WITH old AS MATERIALIZED (
        SELECT o.id FROM notification_outbox o
        WHERE o.phase = 'unconfirmed' AND o.channel = ANY (p_channels)
          AND o.begun_at < clock_timestamp() - p_grace
        ORDER BY o.id LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE notification_outbox o SET phase = 'final', status = 'failed',
        reason = 'unknown-outcome', failed_at = clock_timestamp(), sequence = o.sequence + 1,
        updated_at = clock_timestamp()
    FROM old WHERE o.id = old.id
    RETURNING o.id, o.business_id, o.channel::text
$$;

-- Rank of a status; delivered and read win over failed, which a late delivery disproves.
CREATE FUNCTION status_rank(p_status text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_status WHEN 'queued' THEN 0 WHEN 'canceled' THEN 0 WHEN 'sent' THEN 1
                         WHEN 'failed' THEN 2 WHEN 'delivered' THEN 3 WHEN 'read' THEN 4 END
$$;

-- Take the provider's statuses in: only forward, the earliest time of each kind, one statement.
-- A message is found by our callback id, else by the keyed hash of the provider's id, and only
-- within the business that owns the account the news came for. What is found is returned.
CREATE FUNCTION outbox_apply_statuses(
    p_channel text, p_accounts text[], p_callbacks uuid[], p_message_ids text[], p_hashes bytea[],
    p_statuses text[], p_times timestamptz[], p_codes text[])
RETURNS TABLE (place integer, id uuid, business_id uuid, status text, changed boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_ids uuid[];
    v_businesses uuid[];
BEGIN
    SELECT array_agg(coalesce(byid.id, byhash.id) ORDER BY t.place),
           array_agg(c.business_id ORDER BY t.place)
    INTO v_ids, v_businesses
    FROM unnest(p_accounts, p_callbacks, p_hashes)
        WITH ORDINALITY AS t(account, callback, hash, place)
    LEFT JOIN channel_connection c ON c.channel = p_channel AND c.account_ref = t.account
    LEFT JOIN notification_outbox byid ON byid.id = t.callback
        AND byid.business_id = c.business_id AND byid.channel = p_channel
    LEFT JOIN LATERAL (
        SELECT o.id FROM notification_outbox o
        WHERE byid.id IS NULL AND o.provider_message_hash = t.hash
          AND o.business_id = c.business_id AND o.channel = p_channel LIMIT 1) byhash ON true;
    PERFORM 1 FROM notification_outbox o WHERE o.id = ANY (v_ids)
    ORDER BY o.id FOR NO KEY UPDATE;
    v_now := clock_timestamp();

    INSERT INTO status_update (id, business_id, notification_id, status, occurred_at, error_code)
    SELECT gen_random_uuid(), n.business_id, n.id, n.status, n.at, nullif(n.code, '')
    FROM unnest(v_ids, v_businesses, p_statuses, p_times, p_codes)
        AS n(id, business_id, status, at, code)
    WHERE n.id IS NOT NULL ORDER BY n.at, status_rank(n.status);

    RETURN QUERY
    WITH news AS MATERIALIZED (
        SELECT * FROM unnest(v_ids, v_businesses, p_message_ids, p_hashes, p_statuses, p_times,
                             p_codes)
            WITH ORDINALITY AS t(id, business_id, message_id, hash, status, at, code, place)
    ), best AS (
        SELECT n.id, max(status_rank(n.status)) AS rank,
            min(n.at) FILTER (WHERE n.status <> 'failed') AS sent_at,
            min(n.at) FILTER (WHERE n.status = 'delivered') AS delivered_at,
            min(n.at) FILTER (WHERE n.status = 'read') AS read_at,
            min(n.at) FILTER (WHERE n.status = 'failed') AS failed_at,
            max(n.code) FILTER (WHERE n.status = 'failed') AS code,
            max(n.message_id) AS message_id, (array_agg(n.hash))[1] AS hash
        FROM news n WHERE n.id IS NOT NULL GROUP BY n.id
    ), moved AS (
        UPDATE notification_outbox o SET
            status = CASE WHEN b.rank > status_rank(o.status) THEN
                (ARRAY['sent', 'failed', 'delivered', 'read'])[b.rank] ELSE o.status END,
            phase = CASE WHEN o.phase = 'in_flight' THEN o.phase ELSE 'final' END,
            lease_token = CASE WHEN o.phase = 'in_flight' THEN o.lease_token END,
            lease_until = CASE WHEN o.phase = 'in_flight' THEN o.lease_until END,
            reason = CASE WHEN b.rank = 2 AND status_rank(o.status) < 2 THEN 'provider-failed'
                          WHEN b.rank > status_rank(o.status) THEN '' ELSE o.reason END,
            error_code = CASE WHEN b.rank = 2 AND status_rank(o.status) < 2 THEN b.code
                              ELSE o.error_code END,
            next_retry_at = NULL,
            provider_message_id = coalesce(o.provider_message_id, b.message_id),
            provider_message_hash = coalesce(o.provider_message_hash, b.hash),
            sent_at = least(o.sent_at, b.sent_at),
            delivered_at = least(o.delivered_at, b.delivered_at, b.read_at),
            read_at = least(o.read_at, b.read_at),
            failed_at = least(o.failed_at, b.failed_at),
            sequence = o.sequence + 1, updated_at = v_now
        FROM best b WHERE o.id = b.id AND o.status <> 'canceled'
        RETURNING o.id, o.status, b.rank
    )
    SELECT n.place::int, n.id, n.business_id, m.status::text, m.rank = status_rank(m.status)
    FROM news n LEFT JOIN moved m ON m.id = n.id;
END $$;
