-- token_build adds claims to a user's access token. This one carries the active
-- tenant and the permissions that the user's grants give in it, and no others.
local tenant = context.user.active_tenant
local permissions, abac_required = {}, {}

local function add(claims, key, names)
  for _, name in ipairs(names) do
    claims[key] = claims[key] or {}
    local known = false
    for _, there in ipairs(claims[key]) do
      known = known or there == name
    end
    if not known then
      table.insert(claims[key], name)
    end
  end
end

for _, grant in ipairs(context.grants) do
  if grant.tenant == tenant then
    add(permissions, grant.key, grant.permissions)
    add(abac_required, grant.key, grant.abac_required)
  end
end

return { tenant_id = tenant, permissions = permissions, abac_required = abac_required }
